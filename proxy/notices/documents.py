"""What a webhook is sent: one JSON document an event.

What belongs here: the documents' shape (docs/notices.md has it). They are made when the event is written down and sent as they are, so that
every attempt has the same body. Arguments are those of the hold, redacted; where they are long they are left out, and `args_cut` says so.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.model import Ask, Grant, Hold, Json
from proxy.pipeline.records import (
    budget_record,
    effect_record,
    grant_record,
    reason_record,
    rfc3339,
)
from proxy.redact import redact_text

VERSION = 1
_MOST_BYTES = 16_384
_encode = msgspec.json.Encoder(decimal_format="number").encode

type Document = dict[str, Any]


def event_body(
    delivery: str,
    event: str,
    now_ms: int,
    *,
    hold: Document | None = None,
    grant: Document | None = None,
    freeze: Document | None = None,
) -> bytes:
    """Returns the body of a delivery; `id` is the delivery's, the same at each attempt."""
    return _encode(
        {
            "v": VERSION,
            "id": delivery,
            "event": event,
            "time": rfc3339(now_ms),
            "hold": hold,
            "grant": grant,
            "freeze": freeze,
        }
    )


def hold_document(hold: Hold) -> Document:
    arguments, cut = _bounded(hold.arguments)
    return {
        "id": hold.id,
        "state": hold.state.value,
        "session": hold.session,
        "agent": hold.agent,
        "human": hold.human,
        "side": hold.side.value,
        "provider": hold.provider,
        "call": {
            "id": hold.call_id,
            "name": hold.name,
            "namespace": hold.namespace,
            "args_sha256": hold.args_sha256,
            "args": arguments,
            "args_cut": cut,
        },
        "effects": [effect_record(effect) for effect in hold.effects],
        "reasons": [reason_record(reason) for reason in hold.reasons],
        "budgets": [budget_record(budget) for budget in hold.budgets],
        "asks": [_ask(ask) for ask in hold.asks],
        "consents": [{"by": one.by, "at": rfc3339(one.at_ms)} for one in hold.consents],
        "rules": hold.rules_digest[:16],
        "created_at": rfc3339(hold.created_at_ms),
        "expires_at": rfc3339(hold.expires_at_ms),
        "decided_at": None if hold.decided_at_ms is None else rfc3339(hold.decided_at_ms),
        "decided_by": hold.decided_by,
        "reason": None if hold.reason is None else redact_text(hold.reason),
        "superseded_by": hold.superseded_by,
    }


def grant_document(grant: Grant) -> Document:
    by = grant.revoked_by or grant.by
    record = grant_record(grant, "granted", by)
    said: Document = record["grant"]
    return {**said, "by": by, "reason": None if grant.reason is None else redact_text(grant.reason)}


def freeze_document(scope: str, by: str, reason: str | None) -> Document:
    return {"scope": scope, "by": by, "reason": None if reason is None else redact_text(reason)}


def _ask(ask: Ask) -> Document:
    after = ask.escalate_after_ms
    return {
        "rule": ask.rule,
        "by": list(ask.by),
        "approvals": ask.approvals,
        "escalate_to": list(ask.escalate_to),
        "escalate_after_s": None if after is None else after / 1000,
    }


def _bounded(arguments: Json) -> tuple[Json, bool]:
    try:
        size = len(_encode(arguments))
    except (TypeError, ValueError, RecursionError):
        return None, True
    return (arguments, False) if size <= _MOST_BYTES else (None, True)
