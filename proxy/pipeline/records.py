"""Decision-log records, built here and nowhere else (docs/log.md has the table of fields).

A record leaves out none of its type's fields; `None` stays as null so that a column is always
there. Arguments are redacted before they come near a record, what is derived from them (targets, the
texts of reasons) here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from proxy.canonical import json_number
from proxy.ledger.store import UndoRow
from proxy.model import (
    SHADOW,
    BudgetState,
    Call,
    Effect,
    Entry,
    Grant,
    GrantKind,
    Hold,
    Identity,
    Json,
    Reason,
    Side,
)
from proxy.pipeline.decision import Decision
from proxy.policy.ruleset import RuleSet
from proxy.redact import redact, redact_text

type Record = dict[str, Json]


def decision_record(
    decision: Decision,
    identity: Identity,
    effects: Sequence[Effect],
    arguments: Json,
    *,
    rules_digest: str,
    elapsed_us: int,
    asked: Record | None = None,
) -> Record:
    """One call, decided. `arguments` are redacted already; `asked` are its notes (`asked.py`)."""
    return {
        "type": "decision",
        **_who(identity),
        "side": decision.call.side.value,
        "provider": decision.call.provider,
        "call": call_record(decision.call, arguments),
        "effects": [effect_record(e) for e in effects],
        "verdict": decision.verdict.label,
        "would": decision.would.label if decision.would is not None else None,
        "reasons": [reason_record(r) for r in (*decision.reasons, *decision.shadow_reasons)],
        "budgets": [budget_record(b) for b in (*decision.budgets, *decision.shadow_budgets)],
        "hold": hold_short(decision.hold),
        "bound": other_side_record(decision.bound),
        "drift": other_side_record(decision.drift),
        "grants": list(decision.grants),
        "asked": asked,
        "rules": rules_digest[:16],
        "elapsed_us": elapsed_us,
    }


def other_side_record(entry: Entry | None) -> Record | None:
    """The model-side call that a tool-side call is the same as, or a changed form of."""
    if entry is None:
        return None
    return {"call_id": entry.call_id, "name": entry.name, "args_sha256": entry.args_sha256}


def settlement_record(entry: Entry, why: str, fault: str | None = None) -> Record:
    """One entry, committed or released; `why` is result, http-result, time or provider."""
    return {
        "type": "settlement",
        "session": entry.session,
        "agent": entry.agent,
        "side": entry.side.value,
        "call": {"id": entry.call_id, "name": entry.name, "args_sha256": entry.args_sha256},
        "effects": [effect_record(entry.effect)],
        "state": entry.state.value,
        "by": why,
        "error": fault,
    }


def hold_record(
    hold: Hold,
    event: str,
    budgets: Sequence[BudgetState] = (),
    *,
    by: str | None = None,
    reason: str | None = None,
) -> Record:
    """A step in a hold's life: consented, approved, denied, expired, abandoned, superseded, parked, used.

    `by` and `reason` are of the step, where they are not those of the hold's answer.
    """
    return {
        "type": "hold",
        "session": hold.session,
        "agent": hold.agent,
        "side": hold.side.value,
        "provider": hold.provider,
        "call": {"id": hold.call_id, "name": hold.name, "args_sha256": hold.args_sha256},
        "hold": hold_short(hold),
        "event": event,
        "by": by or hold.decided_by,
        "reason": _said(reason or hold.reason),
        "consents": [{"by": c.by, "at": rfc3339(c.at_ms)} for c in hold.consents],
        "superseded_by": hold.superseded_by,
        "rules": hold.rules_digest[:16],
        "budgets": [budget_record(b) for b in budgets],
    }


def _said(reason: str | None) -> str | None:
    return None if reason is None else redact_text(reason)


def grant_record(grant: Grant, event: str, by: str, call: Record | None = None) -> Record:
    """A step in a grant's life: granted, used (by the agent named in `by`), revoked."""
    return {
        "type": "grant",
        "session": grant.scope.removeprefix("session:")
        if grant.scope.startswith("session:")
        else None,
        "agent": grant.scope.removeprefix("agent:") if grant.scope.startswith("agent:") else None,
        "grant": {
            "id": grant.id,
            "kind": grant.kind.value,
            "scope": grant.scope,
            "hold": grant.hold,
            "rules": list(grant.rules),
            "created_at_ms": grant.created_at_ms,
            "expires_at_ms": grant.expires_at_ms,
            "tool": grant.tool,
            "namespace": grant.namespace,
            "side": None if grant.side is None else grant.side.value,
            "kinds": list(grant.kinds),
            "target": grant.target,
            "amount": None if grant.amount is None else json_number(grant.amount),
            "unit": grant.unit,
            "budget": grant.budget,
            "extra": None if grant.extra is None else json_number(grant.extra),
            "uses": grant.uses,
        },
        "event": event,
        "by": by,
        "reason": grant.reason,
        "call": call,
    }


def undo_record(row: UndoRow, event: str, by: str, status: int | None, error: str | None) -> Record:
    """A compensating call: begun, done or failed; without its headers."""
    call = dict(row.call) if isinstance(row.call, dict) else {}
    call.pop("headers", None)
    return {
        "type": "undo",
        "session": row.session,
        "agent": row.agent,
        "undo": {"id": row.call_key, "tool": row.tool, "call": redact(call)},
        "event": event,
        "by": by,
        "status": status,
        "error": _said(error),
    }


def grant_from(record: Mapping[str, Json]) -> Grant:
    """Returns the grant of a record, as it was given.

    Raises:
        KeyError, TypeError, ValueError, ArithmeticError: it is no such record.
    """
    said = record["grant"]
    return Grant(
        id=said["id"],
        kind=GrantKind(said["kind"]),
        scope=said["scope"],
        by=record["by"],
        created_at_ms=said["created_at_ms"],
        expires_at_ms=said["expires_at_ms"],
        hold=said["hold"],
        rules=tuple(said["rules"]),
        reason=record["reason"],
        tool=said["tool"],
        namespace=said["namespace"],
        side=None if said["side"] is None else Side(said["side"]),
        kinds=tuple(said["kinds"]),
        target=said["target"],
        amount=None if said["amount"] is None else Decimal(str(said["amount"])),
        unit=said["unit"],
        budget=said["budget"],
        extra=None if said["extra"] is None else Decimal(str(said["extra"])),
    )


def session_record(identity: Identity, peer: str) -> Record:
    """A session seen for the first time."""
    return {
        "type": "session",
        **_who(identity),
        "parent": identity.parent,
        "event": "seen",
        "peer": peer,
    }


def checkpoint_record(hold: Hold, scopes: Sequence[str], by: str) -> Record:
    """A human has looked: budgets since the last checkpoint are full again in these scopes."""
    return {
        "type": "session",
        "session": hold.session,
        "agent": hold.agent,
        "event": "checkpoint",
        "hold": hold_short(hold),
        "scopes": list(scopes),
        "by": by,
    }


def error_record(identity: Identity | None, where: str, text: str) -> Record:
    """Something failed and was closed; `text` has no value from the wire."""
    who = _who(identity) if identity is not None else {"session": None, "agent": None}
    return {"type": "error", **who, "where": where, "error": text}


@dataclass(frozen=True, slots=True)
class Standing:
    """What one rule has set in force: for whom ("call": this call alone), until when."""

    name: str
    actions: tuple[str, ...]
    scope: str
    until_ms: int | None
    shadow: bool = False  # it would be in force, if its rule were not in shadow


def standing_record(standing: Standing) -> Record:
    """`until` null: until a human's review, a freeze until it is thawed."""
    return {
        "name": standing.name,
        "do": list(standing.actions),
        "scope": standing.scope,
        "until": None if standing.until_ms is None else rfc3339(standing.until_ms),
        "mode": _mode(standing.shadow),
    }


def signal_record(
    identity: Identity | None,
    on: str,
    server: str | None = None,
    tool: str | None = None,
    event: str | None = None,
    changes: Sequence[Json] = (),
    *,
    text: str | None = None,
    rules: Sequence[Standing] = (),
    fields: Mapping[str, Json] | None = None,
    session: str | None = None,
    agent: str | None = None,
    by: str = "checkrein",
) -> Record:
    """Something that rules may act on, and what they have set in force for it.

    `changes` say what was, and what is; redacted already. Without an identity, `session` and `agent`
    say whom it is about, as far as that is known.
    """
    unknown: Record = {"session": session, "agent": agent, "human": None, "trust": None}
    return {
        "type": "signal",
        **(_who(identity) if identity is not None else unknown),
        "on": on,
        "server": server,
        "tool": tool,
        "event": event,
        "changes": list(changes),
        "text": None if text is None else redact_text(text),
        "rules": [standing_record(one) for one in rules],
        "fields": None if fields is None else redact(dict(fields)),
        "by": by,
    }


def tools_record(
    identity: Identity,
    *,
    side: Side,
    provider: str,
    server: str | None,
    tools: Sequence[Record],
) -> Record:
    """What tools are said to be, where an agent shows it for the first time (`definitions.py` makes `tools`).

    `server`: the MCP server that says so; None: a model request.
    """
    return {
        "type": "tools",
        **_who(identity),
        "side": side.value,
        "provider": provider,
        "server": server,
        "tools": list(tools),
    }


def freeze_record(
    session: str | None,
    agent: str | None,
    event: str,
    *,
    scope: str,
    by: str,
    reason: str | None,
    lifted: Sequence[str] = (),
) -> Record:
    """A human has frozen a scope, or thawed it; `lifted` are the signals that ended with that."""
    return {
        "type": "session",
        "session": session,
        "agent": agent,
        "event": event,
        "scope": scope,
        "by": by,
        "reason": None if reason is None else redact_text(reason),
        "lifted": list(lifted),
    }


def rules_record(
    rules: RuleSet,
    event: str,
    *,
    former: str | None = None,
    settings: Mapping[str, Json] | None = None,
    renamed: Sequence[tuple[str, str]] = (),
    problems: Sequence[str] = (),
) -> Record:
    """Rules come into force, or do not: loaded, reloaded, rejected, in-order.

    Args:
        rules: the set that is in force from here on.
        event: what happened.
        former: the digest of the set before it.
        settings: those of the run that decide what becomes of a call.
        renamed: budgets' (former, new) names whose counts were taken over.
        problems: why an edit was not taken over.
    """
    return {
        "type": "rules",
        "event": event,
        "rules": rules.digest[:16],
        "former": former[:16] if former is not None else None,
        "files": [str(path) for path in rules.files],
        "settings": None if settings is None else dict(settings),
        "renamed": [{"was": was, "name": name} for was, name in renamed],
        "problems": [redact_text(problem)[:400] for problem in problems[:20]],
    }


def call_record(call: Call, arguments: Json) -> Record:
    record: Record = {
        "id": None if call.id_is_derived else call.id,
        "name": call.name,
        "args_sha256": call.args_sha256,
        "args": arguments,
        "kind": call.kind,
        "executor": call.executor,
    }
    if call.namespace is not None:
        record["namespace"] = call.namespace
    if call.response_id is not None:
        record["response_id"] = call.response_id
    if call.confidence is not None:
        record["confidence"] = _number(call.confidence)
    if call.fault is not None:
        record["fault"] = redact_text(call.fault)  # it may name a key of the arguments
    return record


def effect_record(effect: Effect) -> Record:
    return {
        "kind": effect.kind.removeprefix(SHADOW),
        "amount": _number(effect.amount),
        "unit": effect.unit,
        "target": None if effect.target is None else redact_text(effect.target),
        "reversibility": effect.reversibility.value,
        "points": _number(effect.points),
        "mode": _mode(effect.kind.startswith(SHADOW)),
    }


def reason_record(reason: Reason) -> Record:
    return {
        "rule": reason.rule,
        "file": reason.file,
        "line": reason.line,
        "text": redact_text(reason.text),
        "verdict": reason.verdict.label,
        "mode": _mode(reason.shadow),
    }


def budget_record(state: BudgetState) -> Record:
    return {
        "name": state.name,
        "before": _number(state.before),
        "after": _number(state.after),
        "limit": _number(state.limit),
        "unit": state.unit,
        "warned": state.warned,
        "mode": _mode(state.shadow),
    }


def _mode(shadow: bool) -> str:
    return "shadow" if shadow else "enforce"


def hold_short(hold: Hold | None) -> Record | None:
    return None if hold is None else {"id": hold.id, "state": hold.state.value}


def _who(identity: Identity) -> Record:
    return {
        "session": identity.session,
        "agent": identity.agent,
        "human": identity.human,
        "trust": {
            "session": identity.session_trust.label,
            "agent": identity.agent_trust.label,
        },
    }


def _number(amount: Decimal | None) -> Json:
    return None if amount is None else json_number(amount)


def rfc3339(at_ms: int) -> str:
    """A time as RFC 3339; one beyond all calendars is the last of them."""
    try:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        at = datetime.max.replace(tzinfo=UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
