"""The shape of a rule file: which keys there are, of which type, and what must stand together.

What belongs here: pydantic models of the file as written. How a value is read is in `values.py`, how a whole
document is held against its shape in `shape.py`.
Meaning (expressions, units, names that must agree between files) is checked where it is compiled.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from proxy.model import Json, Reversibility
from proxy.policy.amounts import json_type
from proxy.policy.guess.schema import LexiconPart
from proxy.policy.labels.schema import Returns
from proxy.policy.model_prices import ModelPricePart
from proxy.policy.problems import did_you_mean
from proxy.policy.sql.schema import sql_dialect, statement_types
from proxy.policy.values import (
    KIND,
    KIND_GLOB,
    METHOD,
    OPERATION,
    Expression,
    Name,
    Stated,
    Texts,
    as_amount,
    as_at_least,
    as_hosts,
    as_kind_globs,
    as_matching,
    as_number,
    as_only,
    as_path_template,
    as_share,
    as_text,
    as_texts,
    as_unit,
    as_window,
    as_word,
    fault,
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


type Mode = Literal["enforce", "shadow"]


class Settle(_Part):
    ok: Expression | None = None
    amount: Expression | None = None


class EffectPart(_Part):
    kind: Annotated[
        str, BeforeValidator(lambda v: as_matching(v, KIND, "a dotted kind such as money.refund"))
    ]
    amount: Annotated[Any, BeforeValidator(as_amount)] = None
    unit: Annotated[Any, BeforeValidator(as_unit)] = None
    target: Expression | None = None
    reversibility: Annotated[Reversibility, BeforeValidator(lambda v: _reversibility(v))] = (
        Reversibility.REVERSIBLE
    )
    points: Annotated[Decimal | None, BeforeValidator(lambda v: as_at_least(v, "0 or more"))] = None
    labels: Annotated[
        tuple[str, ...], BeforeValidator(lambda v: as_texts(v, "a label as text"))
    ] = ()
    when: Expression | None = None
    data: Expression | None = None
    settle: Settle | None = None


def _reversibility(value: Json) -> Reversibility:
    try:
        return Reversibility(as_text(value, "a word"))
    except ValueError:
        known = [str(word) for word in Reversibility]
        raise fault(
            f"'{value}' is not one of {', '.join(known)}{did_you_mean(str(value), known)}"
        ) from None


def _queries(value: Json) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not value:
        raise fault("expected parameter names with a value, a list of them, or '*' for any")
    return {
        as_text(name, "a parameter's name"): as_texts(wanted, "a value or '*' as text")
        for name, wanted in value.items()
    }


class Graphql(_Part):
    operation: Annotated[
        tuple[str, ...], BeforeValidator(lambda v: as_texts(v, "a root field's name or a glob"))
    ]
    type: Annotated[
        tuple[str, ...],
        BeforeValidator(
            lambda v: tuple(
                as_matching(t, OPERATION, "query, mutation or subscription")
                for t in as_texts(v, "query, mutation or subscription")
            )
        ),
    ] = ("query", "mutation", "subscription")


class Http(_Part):
    method: Annotated[
        tuple[str, ...],
        BeforeValidator(
            lambda v: tuple(
                as_matching(m, METHOD, "an HTTP method or '*'")
                for m in as_texts(v, "an HTTP method or '*'")
            )
        ),
    ]
    host: Annotated[tuple[str, ...], BeforeValidator(as_hosts)]
    path: Annotated[str, BeforeValidator(as_path_template)]
    query: Annotated[dict[str, tuple[str, ...]] | None, BeforeValidator(_queries)] = None
    graphql: Graphql | None = None


def _headers(value: Json) -> dict[str, str]:
    if not isinstance(value, dict):
        raise fault(f"expected a mapping of header names to texts, got {json_type(value)}")
    return {
        as_text(n, "a header's name"): as_text(v, "a text or env:NAME") for n, v in value.items()
    }


def _undo_url(value: Json) -> str:
    text = as_text(value, "a URL")
    if not re.fullmatch(r"https?://[^\s]+", text):
        raise fault(f"'{text}' is not an http or https URL")
    return text


class UndoHttp(_Part):
    method: Annotated[str, BeforeValidator(lambda v: as_matching(v, METHOD, "an HTTP method"))]
    url: Expression
    headers: Annotated[dict[str, str] | None, BeforeValidator(_headers)] = None
    body: Any = None


class UndoMcp(_Part):
    url: Annotated[str, BeforeValidator(_undo_url)]
    tool: Annotated[str, BeforeValidator(lambda v: as_text(v, "a tool's name"))]
    args: Any = None
    headers: Annotated[dict[str, str] | None, BeforeValidator(_headers)] = None


class UndoPart(_Part):
    tool: Annotated[str | None, BeforeValidator(lambda v: as_text(v, "a tool's name"))] = None
    args: Any = None
    http: UndoHttp | None = None
    mcp: UndoMcp | None = None


class Tool(_Part):
    name: Texts | None = None
    http: Http | None = None
    shell: Texts | None = None
    sql: Texts | None = None
    fetch: Texts | None = None
    guess: Texts | None = None
    argument: Expression | None = None
    dialect: Annotated[str | None, BeforeValidator(sql_dialect)] = None
    url: Expression | None = None
    method: Expression | None = None
    body: Expression | None = None
    headers: Expression | None = None
    returns: Returns | None = None
    undo: UndoPart | None = None
    effects: tuple[EffectPart, ...] | None = None


class StatementPart(_Part):
    statement: Annotated[tuple[str, ...], BeforeValidator(statement_types)]
    when: Expression | None = None
    effects: tuple[EffectPart, ...]


class CommandPart(_Part):
    run: Texts
    when: Expression | None = None
    effects: tuple[EffectPart, ...]


class Gate(_Part):
    mode: Mode | None = None
    name: Name
    when: Expression
    verdict: Stated = "hold"
    message: Annotated[
        str | None, BeforeValidator(lambda v: as_text(v, "a message for the agent"))
    ] = None


class Budget(_Part):
    mode: Mode | None = None
    name: Name
    was: Annotated[tuple[str, ...], BeforeValidator(lambda v: as_texts(v, "a former name"))] = ()
    of: Annotated[
        tuple[str, ...],
        BeforeValidator(
            lambda v: tuple(
                as_matching(kind, KIND_GLOB, "an effect kind or a glob over kinds")
                for kind in as_texts(v, "an effect kind or a glob over kinds")
            )
        ),
    ] = ("*",)
    count: Annotated[bool | None, BeforeValidator(lambda v: as_only(v, True, "count: true"))] = None
    sum: Annotated[str | None, BeforeValidator(lambda v: as_text(v, "a unit such as EUR"))] = None
    distinct: Annotated[
        str | None, BeforeValidator(lambda v: as_only(v, "target", "distinct: target"))
    ] = None
    limit: Annotated[Decimal, BeforeValidator(lambda v: as_at_least(v, "more than 0"))]
    per: Literal["call", "session", "agent", "human", "fleet"] = "session"
    window: Annotated[int | None, BeforeValidator(as_window)] = None
    since: Annotated[
        str | None, BeforeValidator(lambda v: as_only(v, "checkpoint", "since: checkpoint"))
    ] = None
    warn_at: Annotated[Decimal | None, BeforeValidator(as_share)] = None
    on_exceed: Stated = "hold"


def _alternatives(value: Json) -> Json:
    """A step written as a kind, or as a list of them, is `{of: …}`."""
    return value if isinstance(value, dict) else {"of": value}


class StepPart(_Part):
    of: Annotated[tuple[str, ...] | None, BeforeValidator(as_kind_globs)] = None
    label: Texts | None = None
    when: Expression | None = None


type Step = Annotated[StepPart, BeforeValidator(_alternatives)]


def _within(value: Json) -> dict[str, Json]:
    """Reads `session`, `agent`, a span, or `{per: agent, window: 1h}`."""
    if isinstance(value, dict):
        if not value or set(value) - {"per", "window"}:
            raise fault("expected session, agent, a time span, or {per: agent, window: 1h}")
        per = value.get("per", "session")
        window = as_window(value["window"]) if "window" in value else None
    elif value in ("session", "agent"):
        per, window = value, None
    else:
        per, window = "session", as_window(value)
    if per not in ("session", "agent"):
        raise fault(
            f"'{per}' is not one of session, agent{did_you_mean(str(per), ['session', 'agent'])}"
        )
    return {"per": per, "window_ms": window}


class Chain(_Part):
    mode: Mode | None = None
    name: Name
    steps: Annotated[tuple[Step, ...], BeforeValidator(lambda v: _listed(v, "steps"))]
    same: Annotated[str | None, BeforeValidator(lambda v: as_only(v, "target", "same: target"))] = (
        None
    )
    within: Annotated[dict[str, Any], BeforeValidator(_within)] = {
        "per": "session",
        "window_ms": None,
    }
    unless: Annotated[tuple[str, ...], BeforeValidator(as_kind_globs)] = ()
    flow: Literal["order", "possible", "observed"] = "order"
    on_match: Stated = "hold"
    message: Annotated[
        str | None, BeforeValidator(lambda v: as_text(v, "a message for the agent"))
    ] = None


def _listed(value: Json, what: str) -> Json:
    if not isinstance(value, list | tuple) or len(value) < 2:
        raise fault(f"expected a list of two {what} or more")
    return tuple(value)


class Require(_Part):
    mode: Mode | None = None
    name: Name
    for_: Annotated[tuple[str, ...], BeforeValidator(as_kind_globs)] = Field(alias="for")
    evidence: Annotated[tuple[str, ...], BeforeValidator(as_kind_globs)]
    when: Expression | None = None
    same: Annotated[str, BeforeValidator(lambda v: as_word(v, ("target", "session")))] = "target"
    within: Annotated[int | None, BeforeValidator(as_window)] = None
    otherwise: Stated = "hold"
    message: Annotated[
        str | None, BeforeValidator(lambda v: as_text(v, "a message for the agent"))
    ] = None


SIGNALS = (
    "tools-changed",
    "system-changed",
    "loop",
    "errors",
    "rate",
    "low-confidence",
    "new-host",
    "out-of-hours",
)
"""Signals that checkrein finds itself; every other name is one that is posted from outside."""

_POSTED = re.compile(r"[a-z0-9*?][a-z0-9*?._-]{0,99}")


def _on(value: Json) -> str:
    text = as_text(value, "a signal's name")
    if not _POSTED.fullmatch(text):
        raise fault(f"'{text}' is not a signal's name, such as loop, or siem.* for posted ones")
    if text not in SIGNALS and not set(text) & set(".*?"):
        near = did_you_mean(text, SIGNALS)
        listed = f"{', '.join(SIGNALS)}, or has a dot, such as siem.alert"
        raise fault(f"'{text}' is no signal: a name is one of {listed}{near}")
    return text


def _how_often(value: Json) -> int:
    if type(value) is not int or not 2 <= value <= 1000:
        raise fault("expected a whole number from 2 to 1000")
    return value


def _fraction(value: Json, *, zero: bool) -> Decimal:
    made = as_number(value)
    if not 0 <= made <= 1 or (made == 0 and not zero):
        raise fault(f"expected a number from 0 to 1, got {value}")
    return made


def _actions(value: Json) -> Json:
    """One action or a list; `freeze` is a word of its own."""
    listed = value if isinstance(value, list | tuple) else (value,)
    if not listed:
        raise fault("expected an action or a list of them, got an empty list")
    for action in listed:
        if not isinstance(action, dict) and action != "freeze":
            raise fault(
                "expected freeze, {scale: BUDGET, by: 0.5}, {raise: GATE}, {hold: KIND} or "
                f"{{block: KIND}}, got {json_type(action)}"
            )
    return tuple({"freeze": True} if action == "freeze" else action for action in listed)


class ActionPart(_Part):
    freeze: Annotated[bool | None, BeforeValidator(lambda v: as_only(v, True, "do: freeze"))] = None
    scale: Name | None = None
    by: Annotated[Decimal | None, BeforeValidator(lambda v: _fraction(v, zero=True))] = None
    raise_: Annotated[Name | None, Field(alias="raise")] = None
    hold: Annotated[tuple[str, ...], BeforeValidator(as_kind_globs)] = ()
    block: Annotated[tuple[str, ...], BeforeValidator(as_kind_globs)] = ()


def _people(value: Json) -> tuple[str, ...]:
    return as_texts(value, "a group's or a person's name")


def _approvals(value: Json) -> int:
    if type(value) is not int or not 1 <= value <= 10:
        raise fault("expected a whole number from 1 to 10")
    return value


class EscalatePart(_Part):
    to: Annotated[tuple[str, ...], BeforeValidator(_people)]
    after: Annotated[int, BeforeValidator(as_window)]


class ApprovalPart(_Part):
    name: Name
    for_: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda v: as_texts(v, "a rule's name or a glob over names")),
    ] = Field(alias="for")
    by: Annotated[tuple[str, ...], BeforeValidator(_people)] = ()
    approvals: Annotated[int, BeforeValidator(_approvals)] = 1
    escalate: EscalatePart | None = None
    wait: Annotated[int | None, BeforeValidator(as_window)] = None
    any_session: Annotated[
        bool | None, BeforeValidator(lambda v: as_only(v, True, "any_session: true"))
    ] = None


class WaitingPart(_Part):
    client: Annotated[
        str, BeforeValidator(lambda v: as_text(v, "a User-Agent or a glob, such as openai/*"))
    ]
    wait: Annotated[int | None, BeforeValidator(as_window)] = None
    keepalive: Annotated[int | None, BeforeValidator(as_window)] = None


class Signal(_Part):
    mode: Mode | None = None
    on: Annotated[str, BeforeValidator(_on)]
    do: Annotated[tuple[ActionPart, ...], BeforeValidator(_actions)]
    name: Name | None = None
    when: Expression | None = None
    count: Annotated[int | None, BeforeValidator(_how_often)] = None
    within: Annotated[int | None, BeforeValidator(as_window)] = None
    below: Annotated[Decimal | None, BeforeValidator(lambda v: _fraction(v, zero=False))] = None
    value: Expression | None = None
    hours: Annotated[
        str | None, BeforeValidator(lambda v: as_text(v, "hours such as Mon-Fri 08:00-18:00"))
    ] = None
    zone: Annotated[
        str | None, BeforeValidator(lambda v: as_text(v, "a time zone such as Europe/Berlin"))
    ] = None
    per: Literal["session", "agent", "human", "fleet"] = "session"
    for_: Annotated[int | None, BeforeValidator(as_window), Field(alias="for")] = None


def _factors(value: Json) -> dict[str, Decimal]:
    if not isinstance(value, dict) or not value:
        raise fault("expected a mapping of names to numbers")
    return {
        as_text(name, "a name"): as_at_least(factor, "0 or more") for name, factor in value.items()
    }


type Factors = Annotated[dict[str, Decimal], BeforeValidator(_factors)]


class PricesPart(_Part):
    kinds: Factors | None = None
    reversibility: Factors | None = None
    labels: Factors | None = None
    trust: Factors | None = None


class File(_Part):
    version: Annotated[Literal[1], BeforeValidator(lambda v: _version(v))]
    pack: Name | None = None
    extends: Annotated[
        tuple[str, ...], BeforeValidator(lambda v: as_texts(v, "a pack's name"))
    ] = ()
    vars: dict[str, Any] | None = None
    mode: Mode | None = None
    tools: tuple[Tool, ...] = ()
    gates: tuple[Gate, ...] = ()
    budgets: tuple[Budget, ...] = ()
    chains: tuple[Chain, ...] = ()
    requires: tuple[Require, ...] = ()
    signals: tuple[Signal, ...] = ()
    approvals: tuple[ApprovalPart, ...] = ()
    waiting: tuple[WaitingPart, ...] = ()
    wait_tool: Annotated[
        bool | None, BeforeValidator(lambda v: as_only(v, True, "wait_tool: true"))
    ] = None
    commands: tuple[CommandPart, ...] = ()
    statements: tuple[StatementPart, ...] = ()
    model_prices: tuple[ModelPricePart, ...] = ()
    trust: Literal["trusted", "untrusted"] | None = None
    prices: PricesPart | None = None
    lexicon: LexiconPart | None = None
    unmapped: Literal["allow", "hold", "block"] | None = None
    unparsed: Literal["allow", "hold", "block"] | None = None
    model_hosts: Annotated[tuple[str, ...], BeforeValidator(as_hosts)] = ()
    opaque: Literal["allow", "block"] | None = None
    pass_through: Annotated[tuple[str, ...], BeforeValidator(as_hosts)] = ()


def _version(value: Json) -> Json:
    if type(value) is not int or value != 1:
        raise fault("this version reads 'version: 1'")
    return value


type Entry = (
    Tool
    | Gate
    | Budget
    | Chain
    | Require
    | Signal
    | ApprovalPart
    | WaitingPart
    | CommandPart
    | StatementPart
    | ModelPricePart
)

PARTS: dict[str, type[BaseModel]] = {
    "tools": Tool,
    "gates": Gate,
    "budgets": Budget,
    "chains": Chain,
    "requires": Require,
    "signals": Signal,
    "approvals": ApprovalPart,
    "waiting": WaitingPart,
    "commands": CommandPart,
    "statements": StatementPart,
    "model_prices": ModelPricePart,
}
