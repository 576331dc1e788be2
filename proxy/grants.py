"""What a grant covers: calls like one that a human was shown, or more of a budget, for a while.

What belongs here: the questions, over values; `now_ms` comes in. How it works. A grant is given on a hold, and answers the rules
that held it, no others: what another rule holds, or any rule blocks, waits as ever. A grant for calls names tool, side
and effects' kinds, and may name their target and how much of each. A top-up raises the limit of one account. Both end when
their time is over or a human takes them back; the next call is judged without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from proxy.errors import HoldError
from proxy.model import Call, Charge, ChargedEffect, Effect, Grant, GrantKind, Hold, Identity, Side

LONGEST_MS = 7 * 86_400_000
MOST_DIGITS = 36
"""Of an amount; `policy/budgets.py` adds so many exactly."""


def is_in_force(grant: Grant, now_ms: int) -> bool:
    """Whether a grant may still be used."""
    return grant.revoked_at_ms is None and now_ms < grant.expires_at_ms


def scopes_of(identity: Identity) -> tuple[str, ...]:
    """Returns every account that a call of this identity may draw on."""
    sessions = (identity.session, identity.parent, *identity.ancestors)
    made = [f"session:{name}" for name in sessions if name is not None]
    made.append(f"agent:{identity.agent}")
    if identity.human is not None:
        made.append(f"human:{identity.human}")
    return tuple(dict.fromkeys((*made, "fleet")))


def covers_call(grant: Grant, identity: Identity, call: Call, effects: Sequence[Effect]) -> bool:
    """Whether a grant is about a call, whatever speaks against it."""
    if grant.kind is not GrantKind.CALLS:
        return False
    # A sub-session's calls are its own: a grant for its parent is none for it.
    if grant.scope not in (f"session:{identity.session}", f"agent:{identity.agent}"):
        return False
    return _alike(grant, call.name, call.namespace, call.side, effects)


def covers_hold(grant: Grant, hold: Hold) -> bool:
    """Whether a grant answers another call that waits, too."""
    if grant.kind is not GrantKind.CALLS:
        return False
    if grant.scope not in (f"session:{hold.session}", f"agent:{hold.agent}"):
        return False
    stated = {reason.rule for reason in hold.reasons if not reason.shadow}
    alike = _alike(grant, hold.name, hold.namespace, hold.side, hold.effects)
    return alike and stated <= set(grant.rules)


def _alike(
    grant: Grant, name: str, namespace: str | None, side: Side, effects: Sequence[Effect]
) -> bool:
    if (name, namespace, side) != (grant.tool, grant.namespace, grant.side):
        return False
    if not effects:
        return not grant.kinds
    return all(_fits(grant, effect) for effect in effects)


def _fits(grant: Grant, effect: Effect) -> bool:
    if effect.kind not in grant.kinds:
        return False
    if grant.target is not None and effect.target != grant.target:
        return False
    if grant.amount is None:
        return True
    return effect.amount is not None and effect.unit == grant.unit and effect.amount <= grant.amount


def answers(grant: Grant, rules: Iterable[str]) -> bool:
    """Whether a human was shown all of these rules."""
    return set(rules) <= set(grant.rules)


def topped_up(
    effects: Sequence[ChargedEffect], grants: Sequence[Grant]
) -> tuple[ChargedEffect, ...]:
    """Returns effects with the limits that top-ups have raised."""
    extras: dict[tuple[str, str], Decimal] = {}
    for grant in grants:
        if grant.kind is GrantKind.TOP_UP and grant.budget is not None and grant.extra is not None:
            key = (grant.budget, grant.scope)
            extras[key] = extras.get(key, Decimal(0)) + grant.extra
    if not extras:
        return tuple(effects)
    return tuple(
        replace(effect, charges=tuple(_raised(charge, extras) for charge in effect.charges))
        for effect in effects
    )


def _raised(charge: Charge, extras: dict[tuple[str, str], Decimal]) -> Charge:
    extra = extras.get((charge.budget, charge.scope))
    return charge if extra is None else replace(charge, limit=charge.limit + extra)


def is_grantable(amount: Decimal) -> bool:
    """Tells whether so much can be granted: above 0, and with no more digits than sums keep exact."""
    return amount.is_finite() and amount > 0 and len(amount.as_tuple().digits) <= MOST_DIGITS


def for_calls(
    hold: Hold,
    *,
    id: str,
    by: str,
    reason: str | None,
    now_ms: int,
    expires_at_ms: int,
    per: str = "session",
    same_target: bool = True,
    amount: Decimal | None = None,
) -> Grant:
    """Returns a grant for calls like a held one.

    Args:
        per: `session` or `agent`: whose calls.
        same_target: only those with the same target.
        amount: at most so much of each effect, in the unit that the held call has.

    Raises:
        HoldError: the held call cannot be narrowed like that.
    """
    targets = {effect.target for effect in hold.effects}
    units = {effect.unit for effect in hold.effects if effect.amount is not None}
    if same_target and hold.effects and (len(targets) != 1 or None in targets):
        raise HoldError(f"hold {hold.id}: the call has no single target; allow any target instead")
    if amount is not None and len(units) != 1:
        raise HoldError(f"hold {hold.id}: the call has no amount in one unit to be limited")
    if amount is not None and amount <= 0:
        raise HoldError(f"hold {hold.id}: an amount is more than 0")
    scope = f"session:{hold.session}" if per == "session" else f"agent:{hold.agent}"
    return Grant(
        id=id,
        kind=GrantKind.CALLS,
        scope=scope,
        by=by,
        created_at_ms=now_ms,
        expires_at_ms=_expiry(hold, now_ms, expires_at_ms),
        hold=hold.id,
        rules=_shown(hold),
        reason=reason,
        tool=hold.name,
        namespace=hold.namespace,
        side=hold.side,
        kinds=tuple(dict.fromkeys(effect.kind for effect in hold.effects)),
        target=next(iter(targets)) if same_target and targets else None,
        amount=amount,
        unit=next(iter(units)) if amount is not None else None,
    )


def for_budget(
    hold: Hold,
    *,
    id: str,
    by: str,
    reason: str | None,
    now_ms: int,
    expires_at_ms: int,
    budget: str,
    extra: Decimal,
    unit: str | None,
) -> Grant:
    """Returns a top-up of a budget that holds a call, in the account that was exceeded.

    Raises:
        HoldError: no such budget holds the call, or it counts in another unit.
    """
    exceeded = [s for s in hold.budgets if s.exceeded and not s.shadow]
    state = next((s for s in exceeded if s.name == budget), None)
    if state is None:
        known = ", ".join(sorted({s.name for s in exceeded})) or "none"
        raise HoldError(
            f"hold {hold.id}: the budget {budget!r} does not hold it; those that do: {known}"
        )
    if state.scope == "call":
        raise HoldError(f"hold {hold.id}: {budget!r} is for each call; there is no account to fill")
    if unit is not None and unit != state.unit:
        raise HoldError(
            f"hold {hold.id}: {budget!r} counts {state.unit or 'without a unit'}, not {unit}"
        )
    if extra <= 0:
        raise HoldError(f"hold {hold.id}: a top-up is more than 0")
    return Grant(
        id=id,
        kind=GrantKind.TOP_UP,
        scope=state.scope,
        by=by,
        created_at_ms=now_ms,
        expires_at_ms=_expiry(hold, now_ms, expires_at_ms),
        hold=hold.id,
        rules=(budget,),
        reason=reason,
        budget=budget,
        extra=extra,
        unit=state.unit,
    )


def revoked(grant: Grant, by: str, now_ms: int) -> Grant:
    """Returns a grant that nobody can use any more.

    Raises:
        HoldError: it has ended already.
    """
    if not is_in_force(grant, now_ms):
        raise HoldError(f"grant {grant.id} has ended already")
    return replace(grant, revoked_at_ms=now_ms, revoked_by=by)


def _shown(hold: Hold) -> tuple[str, ...]:
    return tuple(dict.fromkeys(r.rule for r in hold.reasons if not r.shadow))


def _expiry(hold: Hold, now_ms: int, expires_at_ms: int) -> int:
    if not now_ms < expires_at_ms <= now_ms + LONGEST_MS:
        raise HoldError(f"hold {hold.id}: a grant ends within 7 days, and not before it begins")
    return expires_at_ms
