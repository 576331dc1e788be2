"""Holds as the admin API shows them, for the tests of the terminal desk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def hold(
    id: str,
    *,
    age_s: float = 192,
    args: Any = None,
    amount: Any = 45,
    target: str | None = "A-3",
    name: str = "refund",
    **more: Any,
) -> dict[str, Any]:
    """One hold's view; the larger `age_s`, the older."""
    made = {
        "id": id,
        "state": "pending",
        "session": "s",
        "agent": "a",
        "call": {
            "id": "c",
            "name": name,
            "namespace": None,
            "args_sha256": "0",
            "args": {"id": target, "amount": amount} if args is None else args,
        },
        "side": "model",
        "provider": "openai.chat",
        "reasons": [
            {
                "rule": "refunds",
                "file": "rules.yaml",
                "line": 8,
                "text": "Budget 'refunds' would reach 135 of 100 EUR (90 used).",
                "verdict": "hold",
                "mode": "enforce",
            }
        ],
        "budgets": [budget("refunds", 90, 135, 100)],
        "effects": [effect(amount=amount, target=target)],
        "rules": "4ff6e378d11c368d",
        "created_at": _when(-age_s),
        "expires_at": _when(3600 - age_s),
        "decided_at": None,
        "decided_by": None,
        "reason": None,
    }
    return {**made, **more}


def effect(
    *,
    amount: Any = 45,
    unit: str | None = "EUR",
    target: str | None = "A-3",
    reversibility: str = "irreversible",
    points: Any = 12,
    mode: str = "enforce",
    kind: str = "money.refund",
) -> dict[str, Any]:
    return {
        "kind": kind,
        "amount": amount,
        "unit": unit if amount is not None else None,
        "target": target,
        "reversibility": reversibility,
        "points": points,
        "mode": mode,
    }


def budget(
    name: str, before: Any, after: Any, limit: Any, mode: str = "enforce", unit: str | None = "EUR"
) -> dict[str, Any]:
    return {
        "name": name,
        "before": before,
        "after": after,
        "limit": limit,
        "unit": unit,
        "warned": False,
        "mode": mode,
    }


def _when(seconds: float) -> str:
    at = NOW + timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
