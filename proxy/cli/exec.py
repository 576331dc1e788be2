"""`checkrein exec`: an agent behind the proxy, with a credential of its own.

The credential travels as proxy authorization, so that even plain HTTP and MCP traffic carries it. Only
variables are set: a program that ignores them goes round the proxy, and the closing line says so.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from proxy.cli.admin import AdminClient, whoami
from proxy.cli.options import RulePath, admin_option
from proxy.errors import ConfigurationError
from proxy.settings import admin_socket_path

_PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "OPENAI_PROXY")
_CA = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "CODEX_CA_CERTIFICATE",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "DENO_CERT",
    "PIP_CERT",
)


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.option("--session", help="The session's name (default: a new one).")
@click.option("--agent", default=None, help="The agent's name (default: the command's).")
@click.option("--human", help="For whom it works; by default who runs this command.")
@click.option("--rules", type=RulePath(), multiple=True)
@admin_option
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND…")
def command(
    *,
    session: str | None,
    agent: str | None,
    human: str | None,
    rules: tuple[Path, ...],
    admin: Path | None,
    argv: tuple[str, ...],
) -> None:
    """Run an agent through the proxy; one is started for the run if none is running."""
    with contextlib.ExitStack() as stack:
        client = AdminClient(admin)
        if rules or not _answers(client):
            if rules and _answers(client):
                raise ConfigurationError(
                    f"--rules: a proxy is running already ({client.path}) with rules of its own; "
                    "leave --rules out, or stop it"
                )
            client = stack.enter_context(_own_proxy(rules, admin))
        status = client.get("/v1/status")
        run = client.post(
            "/v1/credentials",
            {
                "session": session,
                "agent": agent or Path(argv[0]).name,
                "human": human or whoami(),
            },
        )
        bundle = stack.enter_context(_ca_bundle(Path(status["ca"])))
        environment = agent_environment(
            os.environ, listen=status["listen"][0], token=run["token"], ca=bundle
        )
        click.echo(
            f"checkrein: session {run['session']} through {status['listen'][0]}; variables only: a "
            "program that ignores them is not contained",
            err=True,
        )
        try:
            code = subprocess.run(argv, env=environment, check=False).returncode  # noqa: S603  # the user's own command
        except FileNotFoundError:
            raise ConfigurationError(f"{argv[0]}: no such command") from None
    sys.exit(code if code >= 0 else 128 - code)


def agent_environment(
    base: os._Environ[str] | dict[str, str], *, listen: str, token: str, ca: Path
) -> dict[str, str]:
    """Returns the environment in which the agent's clients find the proxy and trust it."""
    proxy = f"http://checkrein:{token}@{listen}"
    made = {k: v for k, v in base.items() if not k.startswith("CHECKREIN_")}
    for name in _PROXY:
        made[name] = made[name.lower()] = proxy
    made["NO_PROXY"] = made["no_proxy"] = ""  # an exception here would be a way round
    made["NODE_USE_ENV_PROXY"] = "1"
    for name in _CA:
        made[name] = str(ca)
    return made


def _answers(client: AdminClient) -> bool:
    try:
        client.get("/v1/status")
    except ConfigurationError:
        return False
    return True


@contextlib.contextmanager
def _ca_bundle(own: Path) -> Iterator[Path]:
    """The usual CAs with the proxy's own: traffic that is passed through unopened needs both."""
    import certifi

    with tempfile.TemporaryDirectory(prefix="checkrein-") as folder:
        bundle = Path(folder) / "ca-bundle.pem"
        bundle.write_text(Path(certifi.where()).read_text() + "\n" + own.read_text())
        yield bundle


@contextlib.contextmanager
def _own_proxy(rules: tuple[Path, ...], admin: Path | None) -> Iterator[AdminClient]:
    """A proxy for this run alone, with the usual state, log and admin socket (`holds` finds it)."""
    socket = admin or admin_socket_path()
    with started_proxy([f"--rules={path}" for path in rules], socket) as client:
        yield client


@contextlib.contextmanager
def started_proxy(options: list[str], admin: Path) -> Iterator[AdminClient]:
    """Starts a proxy on a free port, waits until it answers, ends it at last.

    Raises:
        ConfigurationError: it does not start; what it said is on stderr.
    """
    argv = [sys.executable, "-m", "proxy", "run", "--listen", "127.0.0.1:0"]
    argv += ["--admin", str(admin), "--no-inbox", *options]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)  # noqa: S603  # ourselves
    try:
        client = AdminClient(admin)
        for _ in range(600):
            if admin.is_socket() and _answers(client):
                break
            if process.poll() is not None:
                raise ConfigurationError("the proxy for this run did not start; see above")
            time.sleep(0.05)
        else:
            raise ConfigurationError("the proxy for this run did not answer within 30 s")
        yield client
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
