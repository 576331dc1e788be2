"""Holds as tests need them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from proxy.model import (
    Ask,
    BudgetState,
    Effect,
    Hold,
    HoldState,
    Reason,
    Reversibility,
    Side,
    Verdict,
)

NOW_MS = 1_800_000_000_000  # Fri 2027-01-15 08:00 UTC
HOUR_MS = 3_600_000


def hold(id: str = "h1", **changes: Any) -> Hold:
    """A refund of 45 EUR on `target` (A-1) that the budget `refunds` holds, unless changed."""
    target, amount = changes.pop("target", "A-1"), changes.pop("amount", 45)
    rule, text = changes.pop("rule", "refunds"), changes.pop("text", "Budget 'refunds' is spent.")
    unit = changes.pop("unit", "EUR")
    effect = Effect(
        "money.refund",
        Reversibility.IRREVERSIBLE,
        None if amount is None else Decimal(amount),
        unit,
        target,
    )
    stated: dict[str, Any] = {
        "state": HoldState.PENDING,
        "session": "s1",
        "agent": "a1",
        "name": "refund_order",
        "args_sha256": "0" * 64,
        "provider": "openai.chat",
        "side": Side.MODEL,
        "call_id": "c1",
        "arguments": {"order": target},
        "reasons": (Reason(rule, text, Verdict.HOLD),),
        "budgets": (
            BudgetState(
                "refunds",
                "session:s1",
                Decimal(90),
                Decimal(135),
                Decimal(100),
                Verdict.HOLD,
                "EUR",
            ),
        ),
        "effects": (effect,),
        "rules_digest": "0" * 64,
        "created_at_ms": NOW_MS,
        "expires_at_ms": NOW_MS + HOUR_MS,
    }
    return Hold(id=id, **{**stated, **changes})


def ask(*by: str, **more: Any) -> Ask:
    return Ask("refunds", by, **more)
