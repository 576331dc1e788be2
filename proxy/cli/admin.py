"""How commands talk to a running proxy: HTTP over its unix socket."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import httpx

from proxy.cli.options import TOKEN_KEY
from proxy.errors import CheckreinError, ConfigurationError
from proxy.settings import admin_socket_path, default_state_path


def candidates(admin: Path | None, state: Path | None = None) -> list[Path]:
    """Where a running proxy's socket may be: as named, in the runtime folder, beside the state."""
    if admin is not None:
        return [admin]
    beside = (state or default_state_path()).parent / "admin.sock"
    return list(dict.fromkeys([admin_socket_path(state), beside]))


class AdminClient:
    """One running proxy."""

    def __init__(
        self, admin: Path | None, state: Path | None = None, *, token: str | None = None
    ) -> None:
        token = token or answer_token()
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        tried = candidates(admin, state)
        self.path = next((path for path in tried if path.is_socket()), tried[0])

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        nobody = ConfigurationError(
            f"no running proxy answers on {self.path}; start one with `checkrein run`, or name "
            "its socket with --admin PATH"
        )
        if not self.path.is_socket():
            raise nobody
        try:
            # No TLS on a unix socket: reading the CAs would take longer than the whole exchange.
            transport = httpx.HTTPTransport(uds=str(self.path), verify=False)
            with httpx.Client(transport=transport, timeout=30.0, trust_env=False) as client:
                answer = client.request(
                    method, "http://checkrein" + path, headers=self._headers, **more
                )
        except httpx.TransportError as error:
            raise nobody from error
        try:
            body: dict[str, Any] = answer.json()
        except ValueError:
            raise CheckreinError(
                f"the proxy on {self.path} answered {answer.status_code}"
            ) from None
        if answer.status_code >= 400:
            raise CheckreinError(str(body.get("error", answer.status_code)))
        return body


def quoted(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")


_UNSEEN = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164, 0xFFA0}
    | set(range(0xFE00, 0xFE10))
    | set(range(0xE0100, 0xE01F0))
)
"""Code points that Python holds for printable and terminals draw as nothing (Unicode's Default_Ignorable_Code_Point)."""


def plain(value: object) -> str:
    """A text without control characters: an agent wrote it, a human decides by what is shown.

    Bidirectional controls, zero-width characters and spaces other than the plain one are written out, too.
    """
    return "".join(
        char
        if char.isprintable() and ord(char) not in _UNSEEN
        else char.encode("unicode_escape").decode()
        for char in str(value)
    )


def whoami() -> str:
    """The name an answer is logged under."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def answer_token() -> str | None:
    """The API token of a person who may answer: from --token-file, else CHECKREIN_TOKEN."""
    context = click.get_current_context(silent=True)
    named = None if context is None else context.meta.get(TOKEN_KEY)
    return named or os.environ.get("CHECKREIN_TOKEN")


def answers_as() -> str | None:
    """The name an answer is given under; None: whoever's API token it is given with."""
    return None if answer_token() else whoami()


def echo_json(value: dict[str, Any]) -> None:
    """One object, one line."""
    import json

    click.echo(json.dumps(value, ensure_ascii=False))
