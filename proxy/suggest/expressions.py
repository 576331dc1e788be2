"""Amount, unit and target of an effect, as expressions over the arguments that every call is known to have.

What belongs here: picking the argument that says how much, the one that says in what, and the one that says what it is done
to. An argument that a call may lack, or that is not always a plain number or text, would hold that call: it is named in a
note and not used. What a description says is a stranger's word, so it never makes an amount smaller.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.policy.guess.arguments import PARTY, URL, Value, targets_of
from proxy.policy.guess.lexicon import Lexicon
from proxy.policy.guess.words import found_in, words_of
from proxy.policy.units import CURRENCIES
from proxy.policy.yaml_text import shown
from proxy.suggest.fields import Field, FieldPath, Fields

UNSTATED = "unstated"
"""The unit of money whose currency stands nowhere."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
        "has",
    ]
)
"""https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax, read 2026-11; and the macro."""

_AMOUNTS = ("amount", "total", "sum", "price", "value", "cents", "fee")
_NO_AMOUNTS = frozenset(
    [
        "max",
        "min",
        "limit",
        "count",
        "quantity",
        "page",
        "tax",
        "discount",
        "percent",
        "rate",
        "id",
        "type",
    ]
)
_CENTS = frozenset({"cent", "cents", "minor", "pence"})
_CURRENCY = frozenset({"currency", "ccy"})
_SPELLED = {"euro": "EUR", "dollar": "USD"}
_TOLD = re.compile(
    r"\b(?:EUR|USD|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK|PLN|CZK|INR|CNY|BRL)\b|(?i:\b(?:euro|dollar)s?\b)"
)
"""Currencies that a description may name; codes that are words as well (ALL, TRY) are left out."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What of an effect can be read from the arguments; what could not be used is in the notes."""

    amount: str | None = None
    unit: str | None = None
    unit_from: str | None = None  # an expression, instead of a unit
    target: str | None = None
    notes: tuple[str, ...] = ()


def measured(
    fields: Fields, act: str, lexicon: Lexicon, description: str, *, money: bool
) -> Measured:
    """Returns the expressions for one effect.

    Args:
        fields: the tool's arguments.
        act: what it does, as the lexicon says it.
        lexicon: which arguments name a place.
        description: what the tool is said to be.
        money: whether the effect has an amount at all.
    """
    notes: list[str] = []
    paid = _amount(fields, notes) if money else None
    amount = unit = unit_from = None
    if paid is not None:
        amount, unit, unit_from = _of_money(fields, paid, description, notes)
    target = _target(fields, act, lexicon, paid, notes)
    return Measured(amount, unit, unit_from, target, tuple(notes))


def expression_of(path: FieldPath) -> str | None:
    """Returns how CEL names an argument, None where it cannot by a plain name."""
    if all(_IDENTIFIER.fullmatch(part) and part not in _RESERVED for part in path):
        return ".".join(("args", *path))
    return None


def names_money(fields: Fields) -> bool:
    """Whether the arguments by themselves say that somebody is paid: how much, and in what or to whom."""
    paid = [f for f in _amounts(fields) if "amount" in words_of(f.path[-1])]
    return bool(paid) and any(_CURRENCY & set(words_of(f.path[-1])) or _is_payee(f) for f in fields)


def _is_payee(one: Field) -> bool:
    return bool(
        {"iban", "payee", "beneficiary", "recipient", "account"} & set(words_of(one.path[-1]))
    )


# --- how much ------------------------------------------------------------------------------------------
def _amounts(fields: Fields) -> list[Field]:
    """Returns arguments whose names say that they are an amount, the most telling first."""
    return sorted((f for f in fields if _rank(f) < len(_AMOUNTS)), key=_rank)


def _rank(one: Field) -> int:
    words = set(words_of(one.path[-1]))
    is_number = one.amounts or (not one.calls and one.stated in ("number", "integer"))
    if not is_number or words & _NO_AMOUNTS:
        return len(_AMOUNTS)
    ranks = (at for at, word in enumerate(_AMOUNTS) if any(found_in(w, (word,)) for w in words))
    return next(ranks, len(_AMOUNTS))


def _amount(fields: Fields, notes: list[str]) -> Field | None:
    for one in _amounts(fields):
        if not fields.is_sure(one) or (fields.calls and one.amounts < fields.calls):
            notes.append(
                f"{shown(one.name)} is not a plain number in every call, so it is no amount"
            )
        elif expression_of(one.path) is None:
            notes.append(f"{shown(one.name)} has a name that an expression cannot say")
        else:
            return one
    return None


def _of_money(
    fields: Fields, paid: Field, description: str, notes: list[str]
) -> tuple[str, str | None, str | None]:
    """Returns amount, unit, and the expression of a unit."""
    words = words_of(paid.path[-1])
    amount = expression_of(paid.path) or ""
    if _CENTS & set(words):
        amount = f"num({amount}) / 100.0"
        notes.append("its name says that the amount is in hundredths")
    elif re.search(r"(?i)\bcents?\b|\bminor unit", f"{paid.description} {description}"):
        notes.append(
            f"its description speaks of cents: if it is in cents, write num({amount}) / 100.0"
        )
    for one in fields:
        if not _CURRENCY & set(words_of(one.path[-1])):
            continue
        stated = expression_of(one.path)
        if fields.is_sure(one) and not one.others and stated is not None:
            return amount, None, stated
        if len(one.currencies) == 1 and not one.others:
            (only,) = one.currencies
            notes.append(
                f"{shown(one.name)} is not in every call; it was never anything but {only}"
            )
            return amount, only, None
        notes.append(f"{shown(one.name)} does not name a currency in every call")
    unit: str | None = next((w.upper() for w in words if w.upper() in CURRENCIES), None) or _told(
        paid, description
    )
    if unit is None:
        notes.append(f"the currency stands nowhere: write it instead of {UNSTATED!r}")
    return amount, unit or UNSTATED, None


def _told(paid: Field, description: str) -> str | None:
    """Returns the one currency that descriptions name."""
    for text in (f"{paid.path[-1].replace('_', ' ')} {paid.description}", description):
        named: set[str] = {_SPELLED.get(w.lower().rstrip("s"), w) for w in _TOLD.findall(text)}
        if len(named) == 1:
            return named.pop()
    return None


# --- on what -------------------------------------------------------------------------------------------
def place_of(one: Field, act: str, lexicon: Lexicon) -> int | None:
    """Returns which kind of place an argument names, by its values where there are some."""
    role = lexicon.role(one.path[-1])
    found = [
        target.place
        for text in one.examples
        for target in targets_of((Value(role, text),), act, lexicon)
    ]
    return min(found) if found else lexicon.place(role)


def _target(
    fields: Fields, act: str, lexicon: Lexicon, paid: Field | None, notes: list[str]
) -> str | None:
    placed = [(place, one) for one in fields if (place := place_of(one, act, lexicon)) is not None]
    for place, one in sorted(placed, key=lambda item: item[0]):
        if one is paid:
            continue
        written = expression_of(one.path)
        if one.types["list"] or one.stated == "array":
            if place in (URL, PARTY):
                notes.append(
                    f"{shown(one.name)} is a list: a target is one place, so it is none here"
                )
            continue
        usable = one.targets == fields.calls if fields.calls else one.required
        if written is not None and usable and one.stated not in ("object", "boolean"):
            return written
        if place in (URL, PARTY):
            notes.append(f"{shown(one.name)} is not in every call, so it is no target")
    return None
