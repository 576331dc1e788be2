"""Options that several commands share, and the durations and addresses they take."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from proxy.errors import ConfigurationError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Duration(click.ParamType[float]):
    """`50s`, `15m`, `1h`; a bare number is seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a duration; write for example 50s, 15m or 1h", param, ctx)
        return float(match[1]) * _UNITS[match[2] or "s"]


class Address(click.ParamType[tuple[str, int]]):
    """`HOST:PORT`; port 0 takes a free one."""

    name = "host:port"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        host, colon, port = str(value).rpartition(":")
        if not colon or not port.isdigit() or int(port) > 65535:
            self.fail(f"{value!r} is not HOST:PORT, for example 127.0.0.1:8080", param, ctx)
        return host.strip("[]") or "127.0.0.1", int(port)


class RulePath(click.ParamType[Path]):
    """A rule file, a folder of them, or the name of a pack."""

    name = "rules"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        if path.exists() or isinstance(value, Path):
            return path
        from proxy.policy.packs import Library

        try:
            return Library().path_of(str(value))
        except LookupError as error:
            self.fail(f"{value!r}: no such file or folder, and {error}", param, ctx)


def admin_option[F: Callable[..., Any]](function: F) -> F:
    """Adds --admin."""
    return click.option(
        "--admin",
        type=click.Path(path_type=Path),
        envvar="CHECKREIN_ADMIN",
        help="The running proxy's admin socket.",
    )(function)


TOKEN_KEY = "checkrein.token"  # noqa: S105  # where click's `meta` has it


def token_option[F: Callable[..., Any]](function: F) -> F:
    """Adds --token-file, for commands that answer."""
    return click.option(
        "--token-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        is_eager=True,  # ahead of --by, whose default asks whether there is a token
        expose_value=False,
        callback=_take_token,
        help="Your API token, in a file that only you can read; else CHECKREIN_TOKEN.",
    )(function)


def _take_token(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        mode, token = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--token-file {path}: {error}") from error
    if mode & 0o077:
        raise ConfigurationError(
            f"--token-file {path}: others may read it, and answer as you. Run: chmod 600 {path}"
        )
    if not token or not token.isascii() or any(char.isspace() for char in token):
        raise ConfigurationError(f"--token-file {path}: expected one API token, and nothing else")
    context.meta[TOKEN_KEY] = token


def state_option[F: Callable[..., Any]](function: F) -> F:
    """Adds --state."""
    return click.option(
        "--state",
        type=click.Path(path_type=Path),
        envvar="CHECKREIN_STATE",
        help="Where the ledger is (a SQLite file).",
    )(function)
