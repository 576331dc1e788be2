"""What others are told of as it happens: the one hook for notices and webhooks.

What belongs here: the protocol, and the one who tells nobody. Each method is called inside the transaction of the step that it is about,
after the step was written: what it writes becomes durable together with the step, or not at all. It does nothing but read and write
that transaction: a job may run twice (`ledger/writer.py`), and nobody waits for a network in the writer's thread.
"""

from __future__ import annotations

from typing import Protocol

from proxy.ledger.store import Transaction
from proxy.model import Grant, Hold


class Happenings(Protocol):
    """Who is told."""

    def held(self, tx: Transaction, hold: Hold) -> None:
        """A call waits for a human."""

    def moved(self, tx: Transaction, hold: Hold, event: str) -> None:
        """A hold has taken a step; `event` as in its record: approved, denied, expired, abandoned, used …"""

    def granted(self, tx: Transaction, grant: Grant, event: str) -> None:
        """A grant was `granted`, or `revoked`."""

    def frozen(self, tx: Transaction, scope: str, by: str, reason: str | None) -> None:
        """Every call of a scope ("session:…", "agent:…", "human:…", "fleet") is stopped."""

    def thawed(self, tx: Transaction, scope: str, by: str, reason: str | None) -> None:
        """A scope's calls are judged again as ever."""


class Untold:
    """Tells nobody."""

    def held(self, tx: Transaction, hold: Hold) -> None:
        """Says nothing."""

    def moved(self, tx: Transaction, hold: Hold, event: str) -> None:
        """Says nothing."""

    def granted(self, tx: Transaction, grant: Grant, event: str) -> None:
        """Says nothing."""

    def frozen(self, tx: Transaction, scope: str, by: str, reason: str | None) -> None:
        """Says nothing."""

    def thawed(self, tx: Transaction, scope: str, by: str, reason: str | None) -> None:
        """Says nothing."""
