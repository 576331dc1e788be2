"""Holds and sessions as JSON for people's eyes; `id` comes first, times are RFC 3339 in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from proxy.approval import needed
from proxy.canonical import json_number
from proxy.ledger.store import SessionSummary
from proxy.model import Ask, Entry, Grant, Hold, Json
from proxy.pipeline.records import budget_record, effect_record, reason_record, rfc3339

type View = dict[str, Any]


def hold_view(hold: Hold) -> View:
    return {
        "id": hold.id,
        "state": hold.state.value,
        "session": hold.session,
        "agent": hold.agent,
        "human": hold.human,
        "call": {
            "id": hold.call_id,
            "name": hold.name,
            "namespace": hold.namespace,
            "args_sha256": hold.args_sha256,
            "args": shown(hold.arguments),
        },
        "side": hold.side.value,
        "provider": hold.provider,
        "reasons": [reason_record(r) for r in hold.reasons],
        "budgets": [budget_record(b) for b in hold.budgets],
        "effects": [effect_record(e) for e in hold.effects],
        "rules": hold.rules_digest[:16],
        "created_at": when(hold.created_at_ms),
        "expires_at": when(hold.expires_at_ms),
        "decided_at": when(hold.decided_at_ms),
        "decided_by": hold.decided_by,
        "reason": hold.reason,
        "asks": [ask_view(ask, hold) for ask in hold.asks],
        "consents": [{"by": c.by, "at": when(c.at_ms), "reason": c.reason} for c in hold.consents],
        "approvals_needed": needed(hold),
        "superseded_by": hold.superseded_by,
    }


def ask_view(ask: Ask, hold: Hold) -> View:
    """What one rule asks of the answer; `escalates_at` is when `escalate_to` may answer, too."""
    after_ms = ask.escalate_after_ms
    return {
        "rule": ask.rule,
        "by": list(ask.by),
        "approvals": ask.approvals,
        "escalate_to": list(ask.escalate_to),
        "escalates_at": None if after_ms is None else when(hold.created_at_ms + after_ms),
        "any_session": ask.any_session,
    }


def grant_view(grant: Grant, now_ms: int | None = None) -> View:
    """A grant; `state` is `in-force`, `revoked` or `expired`."""
    state = "in-force"
    if grant.revoked_at_ms is not None:
        state = "revoked"
    elif now_ms is not None and now_ms >= grant.expires_at_ms:
        state = "expired"
    return {
        "id": grant.id,
        "state": state,
        "kind": grant.kind.value,
        "scope": grant.scope,
        "tool": grant.tool,
        "namespace": grant.namespace,
        "kinds": list(grant.kinds),
        "target": grant.target,
        "amount": shown(grant.amount),
        "unit": grant.unit,
        "budget": grant.budget,
        "extra": shown(grant.extra),
        "rules": list(grant.rules),
        "hold": grant.hold,
        "by": grant.by,
        "reason": grant.reason,
        "uses": grant.uses,
        "created_at": when(grant.created_at_ms),
        "expires_at": when(grant.expires_at_ms),
        "revoked_at": when(grant.revoked_at_ms),
        "revoked_by": grant.revoked_by,
    }


def summary_view(session: SessionSummary) -> View:
    return {
        "id": session.id,
        "agent": session.agent,
        "trust": session.trust,
        "parent": session.parent,
        "first_seen": when(session.first_seen_ms),
        "last_seen": when(session.last_seen_ms),
        "calls": session.calls,
        "held": session.held,
        "blocked": session.blocked,
    }


def session_view(entries: Sequence[Entry], budgets: Sequence[tuple[str, str, str]]) -> View:
    return {
        "budgets": [{"name": name, "scope": scope, "used": used} for name, scope, used in budgets],
        "entries": [
            {
                "id": entry.id,
                "time": when(entry.reserved_at_ms),
                "call": {"id": entry.call_id, "name": entry.name},
                "side": entry.side.value,
                "state": entry.state.value,
                "bound": entry.bound_by is not None,
                **effect_record(entry.effect),
            }
            for entry in entries
        ],
    }


def shown(value: Json) -> Json:
    """Returns arguments as plain JSON: numbers with a fraction are `Decimal` in a call."""
    if isinstance(value, Decimal):
        return json_number(value)
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return value


def when(at_ms: int | None) -> str | None:
    """A time in milliseconds as RFC 3339."""
    if at_ms is None:
        return None
    return rfc3339(at_ms)
