"""`checkrein run`: the proxy."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from proxy.cli.options import Address, Duration, RulePath, state_option
from proxy.errors import ConfigurationError, LedgerError, LogError
from proxy.settings import Settings, admin_socket_path, default_state_path


@click.command("run")
@click.option("--listen", type=Address(), default="127.0.0.1:8080", show_default=True)
@click.option("--upstream", help="Reverse mode: the base URL that requests go to.")
@click.option(
    "--rules",
    type=RulePath(),
    multiple=True,
    help="A rule file, a folder of them, or a pack's name; may be given several times.",
)
@state_option
@click.option("--log", type=click.Path(path_type=Path), help="The decision log.")
@click.option("--admin", type=click.Path(path_type=Path), help="The admin socket to open.")
@click.option(
    "--people",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The people file: who answers holds, and is told of them.",
)
@click.option("--inbox", type=Address(), help="Where the web inbox listens; needs --people.")
@click.option(
    "--inbox-tls",
    type=(click.Path(path_type=Path, exists=True), click.Path(path_type=Path, exists=True)),
    metavar="CERT KEY",
    help="PEM files with which the web inbox speaks TLS.",
)
@click.option("--no-inbox", is_flag=True, help="Without the web inbox.")
@click.option(
    "--watch/--no-watch",
    "watch",
    default=True,
    show_default=True,
    help="Put edited rule files in force.",
)
@click.option("--shadow", is_flag=True, help="Decide and log, let everything pass.")
@click.option("--hold-wait", type=Duration(), default="50s", show_default=True)
@click.option("--hold-expiry", type=Duration(), default="1h", show_default=True)
@click.option("--approval-expiry", type=Duration(), default="15m", show_default=True)
@click.option(
    "--abandon-after",
    type=Duration(),
    default="30s",
    show_default=True,
    help="How long a client that went away may take to come back to its held call.",
)
@click.option("--settle-after", type=Duration(), default="15m", show_default=True)
@click.option("--keepalive", type=Duration(), default="5s", show_default=True)
@click.option(
    "--websocket",
    type=click.Choice(["gate", "http"]),
    default="gate",
    show_default=True,
    help="Models' WebSockets: judge them, or send their clients back to HTTP.",
)
@click.option(
    "--ca-dir",
    type=click.Path(path_type=Path),
    default=Path.home() / ".mitmproxy",
    help="Where the proxy's own CA is kept.",
)
@click.option(
    "--trust-ca",
    type=click.Path(path_type=Path, exists=True),
    help="PEM file of CAs to trust upstream, instead of the usual ones.",
)
def command(
    *,
    listen: tuple[str, int],
    upstream: str | None,
    rules: tuple[Path, ...],
    state: Path | None,
    log: Path | None,
    admin: Path | None,
    people: Path | None,
    inbox: tuple[str, int] | None,
    inbox_tls: tuple[Path, Path] | None,
    no_inbox: bool,
    watch: bool,
    shadow: bool,
    hold_wait: float,
    hold_expiry: float,
    approval_expiry: float,
    abandon_after: float,
    settle_after: float,
    keepalive: float,
    websocket: str,
    ca_dir: Path,
    trust_ca: Path | None,
) -> None:
    """Run the proxy: forward (HTTP_PROXY), or with --upstream as a base URL."""
    gc.disable()  # of what is imported and compiled now nothing becomes garbage
    from proxy.service import Service, serve

    if no_inbox and inbox is not None:
        raise ConfigurationError("--inbox and --no-inbox do not go together: name one")
    if state is not None and str(state).startswith(("postgresql:", "postgres:")):
        raise ConfigurationError(
            "--state: PostgreSQL is not part of this version; name a file, for example state.sqlite"
        )
    if keepalive <= 0:
        raise ConfigurationError("--keepalive: must be longer than nothing, for example 5s")
    state_path = state or default_state_path()
    settings = Settings(
        state=state_path,
        log=log or state_path.parent / "decisions.jsonl",
        admin=admin or admin_socket_path(state),
        rules=rules,
        listen_host=listen[0],
        listen_port=listen[1],
        upstream=checked_upstream(upstream),
        people=people,
        inbox=inbox,
        inbox_tls=inbox_tls,
        watch_rules=watch,
        shadow=shadow,
        hold_wait_s=hold_wait,
        hold_expiry_s=hold_expiry,
        approval_expiry_s=approval_expiry,
        abandon_after_s=abandon_after,
        settle_after_s=settle_after,
        keepalive_s=keepalive,
        websocket=websocket,
        ca_dir=ca_dir,
        trust_ca=trust_ca,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="checkrein: %(levelname)s: %(message)s"
    )

    def on_ready(service: Service) -> None:
        where = ", ".join(service.listening)
        how = f"reverse proxy for {settings.upstream}" if settings.upstream else "forward proxy"
        click.echo(f"checkrein: {how} on {where}{' (shadow mode)' if shadow else ''}")
        click.echo(f"checkrein: decision log {settings.log}")
        click.echo(f"checkrein: rules {', '.join(str(p) for p in service.pipeline.rules.files)}")
        click.echo(f"checkrein: admin socket {settings.admin}")
        if service.web is not None:
            scheme = "https" if settings.inbox_tls is not None else "http"
            click.echo(
                f"checkrein: inbox {scheme}://{service.web.address[0]}:{service.web.address[1]}"
            )
        for warning in service.pipeline.rules.warnings:
            click.echo(f"checkrein: {warning}", err=True)
        sys.stdout.flush()
        gc.freeze()
        gc.enable()

    try:
        asyncio.run(serve(settings, on_ready))
    except (LedgerError, LogError) as error:  # they could not be opened: another path is needed
        raise ConfigurationError(str(error)) from error


def checked_upstream(url: str | None) -> str | None:
    """Returns an upstream as mitmproxy takes it.

    Raises:
        ConfigurationError: no http(s) URL, or one with a path: paths are kept as the client sends them.
    """
    if url is None:
        return None
    parts = urlsplit(url if "://" in url else "https://" + url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"--upstream {url}: not an http or https URL")
    if parts.path not in ("", "/"):
        raise ConfigurationError(
            f"--upstream {url}: leave out the path {parts.path!r} and put it in the client's base URL"
        )
    return f"{parts.scheme}://{parts.netloc}"
