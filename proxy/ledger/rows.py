"""Values to database columns and back, the same for every database.

What belongs here: amounts as exact text, entries and holds as rows. A hold is one JSON document
beside the few columns that are searched; its arguments stand apart, because only the standard
library's reader gives their fractions back as `Decimal`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import ROUND_CEILING, Context, Decimal, DecimalException, Inexact, InvalidOperation
from hashlib import sha256
from typing import Any

import msgspec

from proxy.errors import LedgerError
from proxy.model import Effect, Entry, EntryState, Hold, Reversibility, Side

EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])
"""No sum may ever be rounded: an account that rounds can be walked past its limit."""

_LARGEST = Decimal(10) ** 30
_FINEST = Decimal(1).scaleb(-20)
_MEMBER_CHARS = 200

_encode = msgspec.json.Encoder(decimal_format="string").encode
_encode_arguments = msgspec.json.Encoder(decimal_format="number").encode
_decode_hold = msgspec.json.Decoder(Hold).decode

ENTRY_COLUMNS = (
    "id, session, agent, call_key, call_id, name, args_sha256, side, kind, target, amount, unit, "
    "reversibility, points, labels, rule, state, reserved_at_ms, settle_by_ms, settled_at_ms, bound_by"
)

type Row = tuple[str | int | bytes | None, ...]


def amount_text(amount: Decimal, what: str) -> str:
    """Returns an amount as the text that is stored.

    Raises:
        LedgerError: negative (it would give budget back), not finite, or out of what adds exactly.
    """
    if not amount.is_finite() or amount < 0:
        raise LedgerError(f"{what}: a charge must be a number of zero or more; the call is refused")
    if amount > _LARGEST or _is_finer(amount):
        raise LedgerError(f"{what}: a charge with more than 30 digits before or 20 after the point")
    return format(amount, "f")


def real_amount(amount: Decimal | None) -> Decimal | None:
    """Returns what a result said as an amount that can be charged; None where it says nonsense.

    A result is not ours to refuse any more, so too large or too fine becomes the nearest amount
    that is not smaller; a negative one is ignored and what was reserved stands.
    """
    if amount is None or not amount.is_finite() or amount < 0:
        return None
    if amount > _LARGEST:
        return _LARGEST
    if _is_finer(amount):
        return amount.quantize(_FINEST, rounding=ROUND_CEILING, context=Context(prec=60))
    return amount


def _is_finer(amount: Decimal) -> bool:
    exponent = amount.as_tuple().exponent
    return isinstance(exponent, int) and exponent < -20


def member_text(member: str) -> str:
    """Returns the key of a member of a distinct budget: itself, or a digest where it is long.

    What already looks like such a digest is digested too, so that two members never share a key.
    """
    if len(member) <= _MEMBER_CHARS and not member.startswith("sha256:"):
        return member
    return "sha256:" + sha256(member.encode("utf-8", "surrogatepass")).hexdigest()


def entry_row(entry: Entry) -> Row:
    effect = entry.effect
    return (
        entry.id,
        entry.session,
        entry.agent,
        entry.call_key,
        entry.call_id,
        entry.name,
        entry.args_sha256,
        entry.side.value,
        effect.kind,
        effect.target,
        None if effect.amount is None else str(effect.amount),
        effect.unit,
        effect.reversibility.value,
        str(effect.points),
        json.dumps(effect.labels) if effect.labels else "",
        effect.rule,
        entry.state.value,
        entry.reserved_at_ms,
        entry.settle_by_ms,
        entry.settled_at_ms,
        entry.bound_by,
    )


def entry_from(row: tuple[Any, ...]) -> Entry:
    """Makes an Entry from a row of `ENTRY_COLUMNS`."""
    (id_, session, agent, call_key, call_id, name, args, side, kind, target, amount, unit,
     reversibility, points, labels, rule, state, reserved_at, settle_by, settled_at, bound_by) = row  # fmt: skip
    try:
        effect = Effect(
            kind=kind,
            reversibility=Reversibility(reversibility),
            amount=None if amount is None else Decimal(amount),
            unit=unit,
            target=target,
            points=Decimal(points),
            labels=tuple(json.loads(labels)) if labels else (),
            rule=rule,
        )
        return Entry(
            id=id_,
            session=session,
            agent=agent,
            call_key=call_key,
            call_id=call_id,
            name=name,
            args_sha256=args,
            side=Side(side),
            effect=effect,
            state=EntryState(state),
            reserved_at_ms=int(reserved_at),
            settle_by_ms=int(settle_by),
            settled_at_ms=None if settled_at is None else int(settled_at),
            bound_by=bound_by,
        )
    except (ValueError, DecimalException) as error:
        raise LedgerError(f"entry {id_}: a stored column does not read back") from error


def hold_name(name: str, namespace: str | None) -> str:
    """Returns the name under which an open hold is found again."""
    return name if namespace is None else f"{namespace}\x1f{name}"


def hold_documents(hold: Hold) -> tuple[bytes, bytes]:
    """Returns the hold without its arguments, and the arguments, as JSON.

    Raises:
        LedgerError: the hold has no JSON form.
    """
    try:
        return _encode(replace(hold, arguments=None)), _encode_arguments(hold.arguments)
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError(f"hold {hold.id}: cannot be written as JSON") from error


def hold_from(document: bytes, arguments: bytes) -> Hold:
    try:
        hold = _decode_hold(document)
        return replace(hold, arguments=json.loads(arguments, parse_float=Decimal))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise LedgerError("a stored hold does not read back") from error
