"""What can go wrong, one class per thing a caller handles differently.

Nothing here carries a secret: messages name places and keys, never values from the wire.
"""

from __future__ import annotations


class CheckreinError(Exception):
    """Base of every error this project raises on purpose."""


class WireError(CheckreinError):
    """Bytes that do not mean one thing only; the exchange is refused."""


class UnjudgeableArguments(WireError):
    """A call's arguments have no single reading (bad JSON, duplicate keys, not UTF-8)."""


class LedgerError(CheckreinError):
    """The durable account could not be read or written; the call is refused."""


class LogError(CheckreinError):
    """A decision record could not be made durable; the call is refused."""


class HoldError(CheckreinError):
    """An answer to a hold that its state does not allow; the message says what state it is in."""


class ConfigurationError(CheckreinError):
    """Wrong usage or configuration: exit code 2; the message says what to change."""
