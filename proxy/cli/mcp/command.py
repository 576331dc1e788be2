"""`checkrein mcp -- COMMAND…`: stands in a client's configuration where the tool server's command stood.

Which account the calls go to. A running proxy judges them, found by `--admin` as by other commands:
they land in its ledger and its log. With `--embedded`, or where no proxy runs, this process judges
them itself, in the same ledger file but with a log and an admin socket of its own, because a log has
one writer; both paths are told on stderr. Under `checkrein exec` the run's credential says which
session and agent the calls belong to.

stdout is the protocol's; all that is for people goes to stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from proxy.cli.admin import AdminClient, plain
from proxy.cli.mcp.bridge import Bridge, LineJudge
from proxy.cli.mcp.judges import ClosedOnError, RemoteJudge, Unreachable
from proxy.cli.mcp.run_credential import credential_of_run
from proxy.cli.options import Duration, RulePath, admin_option, state_option
from proxy.errors import ConfigurationError, LedgerError, LogError
from proxy.settings import Settings, default_state_path

_RUNNERS = frozenset(
    {
        "npx",
        "bunx",
        "pnpx",
        "uvx",
        "pipx",
        "uv",
        "node",
        "deno",
        "bun",
        "python",
        "python3",
        "docker",
    }
)
_WORD = re.compile(r"[\w@./][\w@./:^~-]{0,127}")  # no option, and no program text as after -c
_VERBS = frozenset({"run", "exec", "dlx", "x", "tool"})


@click.command("mcp", context_settings={"ignore_unknown_options": True})
@click.option("--server", help="The server's name in rules and log (default: the command's).")
@click.option("--session", help="The session, where no run of `checkrein exec` says it.")
@click.option("--embedded", is_flag=True, help="Judge here, also where a proxy runs.")
@click.option(
    "--rules",
    type=RulePath(),
    multiple=True,
    help="Embedded: a rule file or a folder of them; may be given several times.",
)
@click.option("--log", type=click.Path(path_type=Path), help="Embedded: the decision log.")
@click.option("--hold-wait", type=Duration(), default="50s", show_default=True, help="Embedded.")
@click.option("--keepalive", type=Duration(), default="5s", show_default=True, help="Embedded.")
@state_option
@admin_option
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND…")
def command(
    *,
    server: str | None,
    session: str | None,
    embedded: bool,
    rules: tuple[Path, ...],
    log: Path | None,
    hold_wait: float,
    keepalive: float,
    state: Path | None,
    admin: Path | None,
    argv: tuple[str, ...],
) -> None:
    """Run a tool server over stdio and judge the calls it gets."""
    if keepalive <= 0:
        raise ConfigurationError("--keepalive: must be longer than nothing, for example 5s")
    if shutil.which(argv[0]) is None:
        raise ConfigurationError(f"{argv[0]}: no such command")
    name = server or server_name(argv)
    for option, value in (("--server", name), ("--session", session or "-")):
        if not (value and value.isprintable() and len(value) <= 128):
            raise ConfigurationError(f"{option}: must be 1 to 128 printable characters")
    token = credential_of_run()
    if token is not None and session is not None:
        _say("--session is not used: the run of `checkrein exec` has a session")
    running = None if embedded else _running(admin, state)
    if running is not None:
        if rules or log is not None:
            raise ConfigurationError(
                f"--rules, --log: a proxy is running ({running}) with rules and a log of its own; "
                "leave them out, or add --embedded"
            )
        opening = {"server": name, "token": token, "session": session}
        judge = _remote(running, opening)
    else:
        if token is not None and not embedded:
            raise ConfigurationError(
                "this runs under `checkrein exec`, and its proxy's admin socket was not found; name "
                "it with --admin PATH, so that the calls are counted in one account"
            )
        if not embedded:
            _say("no proxy is running: calls are judged here")
        state_path = state or default_state_path()
        settings = Settings(
            state=state_path,
            log=log or _own_log(state_path, name),
            admin=_own_socket(admin if embedded else None, state_path),
            rules=rules,
            hold_wait_s=hold_wait,
            keepalive_s=keepalive,
        )
        judge = _embedded(settings, name, token, session)
    try:
        code = asyncio.run(_bridged(judge, argv))
    except (LedgerError, LogError) as error:  # they could not be opened: another path is needed
        raise ConfigurationError(str(error)) from error
    sys.exit(code)


type Opened = contextlib.AbstractAsyncContextManager[LineJudge]


async def _bridged(judge: Opened, argv: tuple[str, ...]) -> int:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CHECKREIN_")}
    async with judge as opened:
        try:
            return await Bridge(opened, _say).run(argv, environment)
        except OSError as error:
            raise ConfigurationError(f"{argv[0]}: {error.strerror or error}") from error


@asynccontextmanager
async def _remote(admin: Path, opening: dict[str, str | None]) -> AsyncIterator[LineJudge]:
    judge = RemoteJudge(admin, opening)
    try:
        try:
            await judge.open()
        except Unreachable as error:
            raise ConfigurationError(f"{admin}: {error}") from error
        _say(f"calls are judged by the proxy on {admin}, session {judge.session}")
        yield ClosedOnError(judge)
    finally:
        await judge.close()


@asynccontextmanager
async def _embedded(
    settings: Settings, server: str, token: str | None, session: str | None
) -> AsyncIterator[LineJudge]:
    from proxy.canonical import sha256_hex
    from proxy.inbox.mcp_lines import Conversation, stdio_identity
    from proxy.pipeline.mcp import McpChannel
    from proxy.service import Service

    service = Service.build(settings)
    service.start()
    try:
        pipeline = service.pipeline
        found = await pipeline.credential(sha256_hex(token.encode())) if token else None
        if token is not None and found is None:
            raise ConfigurationError(
                f"the run's credential is not in {settings.state}; name its ledger with --state"
            )
        credential = (found.session, found.agent) if found is not None else None
        identity = stdio_identity(server, credential=credential, session=session)
        await pipeline.see_session(identity, f"stdio {server}")
        _say(f"calls are judged here, session {identity.session}")
        _say(f"decision log {settings.log}")
        _say(f"admin socket {settings.admin} (checkrein holds --admin {settings.admin} list)")
        channel = McpChannel(pipeline, identity, server)
        yield ClosedOnError(Conversation(pipeline, channel))
    finally:
        await service.stop()


def server_name(argv: tuple[str, ...]) -> str:
    """Returns a server's name: its command's, or what a runner such as npx is told to run."""
    name = Path(argv[0]).name
    if name in _RUNNERS:
        words = (a for a in argv[1:] if a not in _VERBS and _WORD.fullmatch(a))
        name = next((Path(word).name for word in words), name)
    return re.sub(r"(?<=.)@[\w.^~-]+$", "", name)


def _running(admin: Path | None, state: Path | None) -> Path | None:
    client = AdminClient(admin, state)
    if admin is None and not client.path.is_socket() and (usual := usual_socket()).is_socket():
        client = AdminClient(usual)
    try:
        client.get("/v1/status")
    except ConfigurationError:
        if admin is not None:  # it was named: another account is not what was meant
            raise
        return None
    return client.path


def usual_socket(runtime: Path = Path("/run/user")) -> Path:
    """Where a proxy's socket is that was started with XDG_RUNTIME_DIR set; SDKs do not pass that on."""
    return runtime / str(os.getuid()) / "checkrein" / "admin.sock"


def _own_log(state: Path, server: str) -> Path:
    """A log has one writer. The name must not look like a rotated part of the proxy's own."""
    safe = re.sub(r"[^\w-]+", "-", server)
    return state.parent / f"mcp-{safe}-{os.getpid()}.jsonl"


def _own_socket(admin: Path | None, state: Path) -> Path:
    if admin is not None:
        return admin
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "checkrein" if runtime else state.parent
    return folder / f"mcp-{os.getpid()}.sock"


def _say(text: str) -> None:
    click.echo(f"checkrein: {plain(text)}", err=True)
