"""What is asked before an answer is given, and the answer that is made of it.

What belongs here: questions as values, in words, and the command that each becomes. A question keeps the hold as it was
shown when its key was pressed, so that the answer is for that one, whatever the list does meanwhile.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import click

from proxy.cli import grants, hold_words
from proxy.cli.watch.events import Answer, Answered, Approve, Deny, Freeze, Hold
from proxy.errors import ConfigurationError

_GRANT_S = 3600.0
_MOST_NAMED = 60


class Verb(StrEnum):
    """What a key would do to a hold."""

    APPROVE = "approve"
    GRANT = "grant"
    TOP_UP = "top-up"
    DENY = "deny"
    DENY_AND_FREEZE = "deny-and-freeze"
    FREEZE = "freeze"


TYPED = frozenset({Verb.TOP_UP, Verb.DENY, Verb.DENY_AND_FREEZE})
"""Answers that want a text; the others want a `y`."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about one hold; `text` is what has been typed so far."""

    verb: Verb
    hold: Hold
    text: str = ""


def why_not(verb: Verb, hold: Hold) -> str | None:
    """Returns why this cannot be asked about a hold; None where it can."""
    if verb is Verb.TOP_UP and not exceeded(hold):
        return "No budget holds this call: there is nothing to top up."
    return None


def heading(question: Question) -> str:
    """Returns what is asked, in words."""
    hold = question.hold
    match question.verb:
        case Verb.APPROVE:
            return "Approve this call, once?"
        case Verb.GRANT:
            return f"Approve it, and for an hour, in this session, {_like_words(hold)}?"
        case Verb.TOP_UP:
            return f"Top up {' or '.join(exceeded(hold))}, and approve. How much, how long?"
        case Verb.DENY:
            return "Deny this call. The agent reads why:"
        case Verb.DENY_AND_FREEZE:
            return (
                f"Deny this call and freeze session {short(hold['session'])}. The agent reads why:"
            )
        case Verb.FREEZE:
            return f"Freeze session {short(hold['session'])}? None of its calls runs until it is thawed."


def example(question: Question) -> str:
    """Returns what could be typed."""
    if question.verb is not Verb.TOP_UP:
        return ""
    names = exceeded(question.hold)
    return f"{'' if len(names) == 1 else names[0] + ' '}+500 EUR until 17:00, or for 2h"


def answer(question: Question, now: datetime) -> Answer:
    """Returns the command that a question becomes.

    Raises:
        ConfigurationError: what was typed is not understood.
    """
    hold, text = question.hold, question.text.strip()
    match question.verb:
        case Verb.APPROVE:
            return Approve(hold["id"])
        case Verb.GRANT:
            like = {**like_grant(hold), "expires_at_ms": grants.ends_at_ms(_GRANT_S, now)}
            return Approve(hold["id"], like)
        case Verb.TOP_UP:
            return Approve(hold["id"], _top_up(hold, text, now))
        case Verb.DENY:
            return Deny(hold["id"], text or None)
        case Verb.DENY_AND_FREEZE:
            return Deny(hold["id"], text or None, freeze=hold["session"])
        case Verb.FREEZE:
            return Freeze(hold["session"])


def told(answered: Answered) -> str:
    """Returns what came of an answer, in words."""
    match answered.answer:
        case Freeze(session):
            return f"Session {session} is frozen until `checkrein sessions thaw {shlex.quote(session)}`."
        case Deny(freeze=session):
            frozen = "" if session is None else f"; session {session} is frozen"
            return f"{short(hold_words.name(answered.view))}: denied{frozen}."
        case Approve():
            return _approved(answered.view)


def _approved(view: Hold) -> str:
    said, need = consents(view)
    name = short(hold_words.name(view))
    if view["state"] == "pending":
        return f"{name}: your yes is kept, {said} of {need}."
    if not view.get("grant"):
        return f"{name}: approved."
    grant, others = view["grant"], len(view.get("also") or ())
    more = (
        f" {others} more that waited {'is' if others == 1 else 'are'} approved." if others else ""
    )
    return f"{name}: approved; {grants.words(grant)} until {grant['expires_at']}.{more}"


def short(text: object) -> str:
    """Returns the beginning of a text that an agent may have made long, and how long it is."""
    whole = str(text)
    return whole if len(whole) <= _MOST_NAMED else f"{whole[:_MOST_NAMED]}… ({len(whole)} long)"


def consents(hold: Hold) -> tuple[int, int]:
    """Returns how many people have said yes to a hold, and how many it needs."""
    return len(hold.get("consents") or ()), int(hold.get("approvals_needed") or 1)


def exceeded(hold: Hold) -> list[str]:
    """Returns the budgets that hold a call."""
    found = [
        str(budget["name"])
        for budget in hold["budgets"]
        if budget.get("mode") != "shadow"
        and Decimal(str(budget["after"])) > Decimal(str(budget["limit"]))
    ]
    return list(dict.fromkeys(found))


def like_grant(hold: Hold) -> dict[str, Any]:
    """Returns the grant for calls like a held one: no wider than what was shown, as far as the call says.

    Its target, where it has one; up to its amount, where each effect has one in the same unit.
    """
    effects = hold["effects"]
    targets = {effect["target"] for effect in effects}
    made: dict[str, Any] = {"per": "session", "target": "any"}
    if len(targets) == 1 and None not in targets:
        made["target"] = "same"
    amounts = [Decimal(str(e["amount"])) for e in effects if e["amount"] is not None]
    units = {effect["unit"] for effect in effects}
    if amounts and len(amounts) == len(effects) and len(units) == 1 and max(amounts) > 0:
        made["amount"] = str(max(amounts))
    return made


def _like_words(hold: Hold) -> str:
    grant, effects = like_grant(hold), hold["effects"]
    where = f"on {short(effects[0]['target'])}" if grant["target"] == "same" else "on any target"
    much = "of any amount"
    if "amount" in grant:
        much = short(f"of up to {grant['amount']} {effects[0]['unit'] or ''}".rstrip())
    elif all(effect["amount"] is None for effect in effects):
        much = ""
    parts = (f"every {short(hold_words.name(hold))}", much, where)
    return " ".join(part for part in parts if part)


def _top_up(hold: Hold, text: str, now: datetime) -> dict[str, Any]:
    names = exceeded(hold)
    if text.startswith("+") and len(names) == 1:
        text = f"{names[0]} {text}"
    try:
        return grants.top_up(text, now)
    except click.UsageError as error:
        raise ConfigurationError(error.format_message()) from error
    except ConfigurationError as error:
        raise ConfigurationError(str(error).removeprefix("--top-up ")) from error
