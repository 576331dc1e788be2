"""All fuzz targets by name: answers, requests, sockets, MCP. Each has a folder in `corpus`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tests.fuzz.mcp_payloads import MCP
from tests.fuzz.requests import REQUESTS
from tests.fuzz.sockets import SOCKETS
from tests.fuzz.targets import TARGETS


class FuzzTarget(Protocol):
    """What each kind has."""

    @property
    def name(self) -> str: ...

    @property
    def dictionary(self) -> tuple[str, ...]: ...

    @property
    def seeds(self) -> Iterator[bytes]: ...

    def length(self, data: bytes) -> int:
        """How many bytes can be cut; 0 where all comes whole."""

    def check(self, data: bytes, cuts: Sequence[int] = (), *, whole_is_good: bool = False) -> None:
        """Asserts all that must hold; `whole_is_good`: it is what a real peer says."""


_OTHERS: tuple[FuzzTarget, ...] = (*REQUESTS, *SOCKETS, MCP)
EVERY: dict[str, FuzzTarget] = {**TARGETS, **{made.name: made for made in _OTHERS}}
