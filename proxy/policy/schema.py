"""The shape of a rule file: which keys there are, of which type, and what must stand together.

What belongs here: pydantic models of the file as written, and the wording of every shape mistake.
Meaning (expressions, units, names that must agree between files) is checked where it is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from proxy.model import Json, Reversibility
from proxy.policy.amounts import MAX_DIGITS, json_type
from proxy.policy.guess.schema import LexiconPart
from proxy.policy.labels.schema import Returns, TrustBy
from proxy.policy.model_prices import ModelPricePart
from proxy.policy.problems import Problem, did_you_mean
from proxy.policy.sql.schema import sql_dialect, statement_types
from proxy.policy.yamlnodes import Document, Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_KIND = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
_KIND_GLOB = re.compile(r"[a-z0-9.*?\[\]!-]+")
_WINDOW = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)")
_OPERATION = re.compile(r"query|mutation|subscription")
_METHOD = re.compile(r"[A-Za-z]+|\*")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _fault(text: str) -> PydanticCustomError:
    return PydanticCustomError("checkrein", "{text}", {"text": text})


def _text(value: Json, what: str) -> str:
    if not isinstance(value, str):
        raise _fault(f"expected {what}, got {json_type(value)}")
    if not value.strip():
        raise _fault(f"expected {what}, got empty text")
    return value


def _matching(value: Json, pattern: re.Pattern[str], what: str) -> str:
    text = _text(value, what)
    if not pattern.fullmatch(text):
        raise _fault(f"'{text}' is not {what}")
    return text


def _texts(value: Json, what: str) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise _fault(f"expected {what} or a list of them, got an empty list")
    return tuple(_text(item, what) for item in listed)


def _number(value: Json) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _fault(f"expected a number, got {json_type(value)}")
    made = Decimal(value)
    if made and (made.adjusted() >= MAX_DIGITS or made.adjusted() < -MAX_DIGITS):
        raise _fault(f"expected a number of at most {MAX_DIGITS} digits")
    return made


def _at_least(value: Json, least: str) -> Decimal:
    made = _number(value)
    if made < 0 or (made == 0 and least == "more than 0"):
        raise _fault(f"must be {least}, got {value}")
    return made


def _share(value: Json) -> Decimal:
    made = _number(value)
    if not 0 < made <= 1:
        raise _fault(f"must be a share of the limit, more than 0 and at most 1, got {value}")
    return made


def _window(value: Json) -> int:
    found = _WINDOW.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _fault("expected a time span such as 30s, 15m, 24h or 7d")
    return int(found[1]) * _UNIT_MS[found[2]]


def _expression(value: Json) -> str:
    return _text(value, "a CEL expression as text")


def _amount(value: Json) -> str | Decimal:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _at_least(value, "0 or more")
    return _text(value, "a number or a CEL expression")


def _hosts(value: Json) -> tuple[str, ...]:
    hosts = _texts(value, "a host name")
    for host in hosts:
        if "/" in host or "@" in host or (":" in host and not host.startswith("[")):
            raise _fault(
                f"host '{host}': name the host alone, without scheme, port or path; "
                "a rule is for every port, an IPv6 address stands in [brackets]"
            )
    return hosts


def _path_template(value: Json) -> str:
    path = _text(value, "a path such as /v1/refunds/{id}")
    if not path.startswith("/"):
        raise _fault(f"the path '{path}' must start with '/'")
    names: list[str] = []
    for segment in path.split("/")[1:]:
        if found := re.fullmatch(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", segment):
            names.append(found[1])
        elif set(segment) & set("{}*?#%;\\") or segment in (".", ".."):
            raise _fault(
                f"the path segment '{segment}' is neither plain text nor one {{name}}; "
                "write it decoded, without a query"
            )
    if len(set(names)) != len(names):
        raise _fault(f"the path '{path}' uses one name twice")
    return path


def _unit(value: Json) -> str | dict[str, str]:
    if isinstance(value, dict):
        if set(value) != {"from"}:
            raise _fault("expected a unit such as EUR, or {from: EXPRESSION}")
        return {"from": _text(value["from"], "a CEL expression as text")}
    return _matching(value, re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}"), "a unit such as EUR")


type Texts = Annotated[
    tuple[str, ...], BeforeValidator(lambda v: _texts(v, "a name or glob as text"))
]
type Name = Annotated[
    str,
    BeforeValidator(lambda v: _matching(v, _NAME, "a name of letters, digits, '.', '_' and '-'")),
]
type Expression = Annotated[str, BeforeValidator(_expression)]
type Stated = Literal["hold", "block"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Settle(_Part):
    ok: Expression | None = None
    amount: Expression | None = None


class EffectPart(_Part):
    kind: Annotated[
        str, BeforeValidator(lambda v: _matching(v, _KIND, "a dotted kind such as money.refund"))
    ]
    amount: Annotated[Any, BeforeValidator(_amount)] = None
    unit: Annotated[Any, BeforeValidator(_unit)] = None
    target: Expression | None = None
    reversibility: Annotated[Reversibility, BeforeValidator(lambda v: _reversibility(v))] = (
        Reversibility.REVERSIBLE
    )
    points: Annotated[Decimal | None, BeforeValidator(lambda v: _at_least(v, "0 or more"))] = None
    labels: Annotated[tuple[str, ...], BeforeValidator(lambda v: _texts(v, "a label as text"))] = ()
    when: Expression | None = None
    data: Expression | None = None
    settle: Settle | None = None


def _reversibility(value: Json) -> Reversibility:
    try:
        return Reversibility(_text(value, "a word"))
    except ValueError:
        known = [str(word) for word in Reversibility]
        raise _fault(
            f"'{value}' is not one of {', '.join(known)}{did_you_mean(str(value), known)}"
        ) from None


def _queries(value: Json) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not value:
        raise _fault("expected parameter names with a value, a list of them, or '*' for any")
    return {
        _text(name, "a parameter's name"): _texts(wanted, "a value or '*' as text")
        for name, wanted in value.items()
    }


class Graphql(_Part):
    operation: Annotated[
        tuple[str, ...], BeforeValidator(lambda v: _texts(v, "a root field's name or a glob"))
    ]
    type: Annotated[
        tuple[str, ...],
        BeforeValidator(
            lambda v: tuple(
                _matching(t, _OPERATION, "query, mutation or subscription")
                for t in _texts(v, "query, mutation or subscription")
            )
        ),
    ] = ("query", "mutation", "subscription")


class Http(_Part):
    method: Annotated[
        tuple[str, ...],
        BeforeValidator(
            lambda v: tuple(
                _matching(m, _METHOD, "an HTTP method or '*'")
                for m in _texts(v, "an HTTP method or '*'")
            )
        ),
    ]
    host: Annotated[tuple[str, ...], BeforeValidator(_hosts)]
    path: Annotated[str, BeforeValidator(_path_template)]
    query: Annotated[dict[str, tuple[str, ...]] | None, BeforeValidator(_queries)] = None
    graphql: Graphql | None = None


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
    name: Name
    when: Expression
    verdict: Stated = "hold"
    message: Annotated[
        str | None, BeforeValidator(lambda v: _text(v, "a message for the agent"))
    ] = None


class Budget(_Part):
    name: Name
    of: Annotated[
        tuple[str, ...],
        BeforeValidator(
            lambda v: tuple(
                _matching(kind, _KIND_GLOB, "an effect kind or a glob over kinds")
                for kind in _texts(v, "an effect kind or a glob over kinds")
            )
        ),
    ] = ("*",)
    count: Annotated[bool | None, BeforeValidator(lambda v: _only(v, True, "count: true"))] = None
    sum: Annotated[str | None, BeforeValidator(lambda v: _text(v, "a unit such as EUR"))] = None
    distinct: Annotated[
        str | None, BeforeValidator(lambda v: _only(v, "target", "distinct: target"))
    ] = None
    limit: Annotated[Decimal, BeforeValidator(lambda v: _at_least(v, "more than 0"))]
    per: Literal["call", "session", "agent", "human", "fleet"] = "session"
    window: Annotated[int | None, BeforeValidator(_window)] = None
    since: Annotated[
        str | None, BeforeValidator(lambda v: _only(v, "checkpoint", "since: checkpoint"))
    ] = None
    warn_at: Annotated[Decimal | None, BeforeValidator(_share)] = None
    on_exceed: Stated = "hold"


def _only(value: Json, allowed: Json, written: str) -> Json:
    if type(value) is not type(allowed) or value != allowed:
        raise _fault(f"only '{written}' is possible here")
    return value


def _kind_globs(value: Json) -> tuple[str, ...]:
    return tuple(
        _matching(kind, _KIND_GLOB, "an effect kind or a glob over kinds")
        for kind in _texts(value, "an effect kind or a glob over kinds")
    )


def _alternatives(value: Json) -> Json:
    """A step written as a kind, or as a list of them, is `{of: …}`."""
    return value if isinstance(value, dict) else {"of": value}


class StepPart(_Part):
    of: Annotated[tuple[str, ...] | None, BeforeValidator(_kind_globs)] = None
    label: Texts | None = None
    when: Expression | None = None


type Step = Annotated[StepPart, BeforeValidator(_alternatives)]


def _within(value: Json) -> dict[str, Json]:
    """Reads `session`, `agent`, a span, or `{per: agent, window: 1h}`."""
    if isinstance(value, dict):
        if not value or set(value) - {"per", "window"}:
            raise _fault("expected session, agent, a time span, or {per: agent, window: 1h}")
        per = value.get("per", "session")
        window = _window(value["window"]) if "window" in value else None
    elif value in ("session", "agent"):
        per, window = value, None
    else:
        per, window = "session", _window(value)
    if per not in ("session", "agent"):
        raise _fault(
            f"'{per}' is not one of session, agent{did_you_mean(str(per), ['session', 'agent'])}"
        )
    return {"per": per, "window_ms": window}


class Chain(_Part):
    name: Name
    steps: Annotated[tuple[Step, ...], BeforeValidator(lambda v: _listed(v, "steps"))]
    same: Annotated[str | None, BeforeValidator(lambda v: _only(v, "target", "same: target"))] = (
        None
    )
    within: Annotated[dict[str, Any], BeforeValidator(_within)] = {
        "per": "session",
        "window_ms": None,
    }
    unless: Annotated[tuple[str, ...], BeforeValidator(_kind_globs)] = ()
    flow: Literal["order", "possible", "observed"] = "order"
    on_match: Stated = "hold"
    message: Annotated[
        str | None, BeforeValidator(lambda v: _text(v, "a message for the agent"))
    ] = None


def _listed(value: Json, what: str) -> Json:
    if not isinstance(value, list | tuple) or len(value) < 2:
        raise _fault(f"expected a list of two {what} or more")
    return tuple(value)


class Require(_Part):
    name: Name
    for_: Annotated[tuple[str, ...], BeforeValidator(_kind_globs)] = Field(alias="for")
    evidence: Annotated[tuple[str, ...], BeforeValidator(_kind_globs)]
    when: Expression | None = None
    same: Annotated[str, BeforeValidator(lambda v: _word(v, ("target", "session")))] = "target"
    within: Annotated[int | None, BeforeValidator(_window)] = None
    otherwise: Stated = "hold"
    message: Annotated[
        str | None, BeforeValidator(lambda v: _text(v, "a message for the agent"))
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
    text = _text(value, "a signal's name")
    if not _POSTED.fullmatch(text):
        raise _fault(f"'{text}' is not a signal's name, such as loop, or siem.* for posted ones")
    if text not in SIGNALS and not set(text) & set(".*?"):
        near = did_you_mean(text, SIGNALS)
        listed = f"{', '.join(SIGNALS)}, or has a dot, such as siem.alert"
        raise _fault(f"'{text}' is no signal: a name is one of {listed}{near}")
    return text


def _how_often(value: Json) -> int:
    if type(value) is not int or not 2 <= value <= 1000:
        raise _fault("expected a whole number from 2 to 1000")
    return value


def _fraction(value: Json, *, zero: bool) -> Decimal:
    made = _number(value)
    if not 0 <= made <= 1 or (made == 0 and not zero):
        raise _fault(f"expected a number from 0 to 1, got {value}")
    return made


def _actions(value: Json) -> Json:
    """One action or a list; `freeze` is a word of its own."""
    listed = value if isinstance(value, list | tuple) else (value,)
    if not listed:
        raise _fault("expected an action or a list of them, got an empty list")
    for action in listed:
        if not isinstance(action, dict) and action != "freeze":
            raise _fault(
                "expected freeze, {scale: BUDGET, by: 0.5}, {raise: GATE}, {hold: KIND} or "
                f"{{block: KIND}}, got {json_type(action)}"
            )
    return tuple({"freeze": True} if action == "freeze" else action for action in listed)


class ActionPart(_Part):
    freeze: Annotated[bool | None, BeforeValidator(lambda v: _only(v, True, "do: freeze"))] = None
    scale: Name | None = None
    by: Annotated[Decimal | None, BeforeValidator(lambda v: _fraction(v, zero=True))] = None
    raise_: Annotated[Name | None, Field(alias="raise")] = None
    hold: Annotated[tuple[str, ...], BeforeValidator(_kind_globs)] = ()
    block: Annotated[tuple[str, ...], BeforeValidator(_kind_globs)] = ()


class Signal(_Part):
    on: Annotated[str, BeforeValidator(_on)]
    do: Annotated[tuple[ActionPart, ...], BeforeValidator(_actions)]
    name: Name | None = None
    when: Expression | None = None
    count: Annotated[int | None, BeforeValidator(_how_often)] = None
    within: Annotated[int | None, BeforeValidator(_window)] = None
    below: Annotated[Decimal | None, BeforeValidator(lambda v: _fraction(v, zero=False))] = None
    value: Expression | None = None
    hours: Annotated[
        str | None, BeforeValidator(lambda v: _text(v, "hours such as Mon-Fri 08:00-18:00"))
    ] = None
    zone: Annotated[
        str | None, BeforeValidator(lambda v: _text(v, "a time zone such as Europe/Berlin"))
    ] = None
    per: Literal["session", "agent", "human", "fleet"] = "session"
    for_: Annotated[int | None, BeforeValidator(_window), Field(alias="for")] = None


def _word(value: Json, words: tuple[str, ...]) -> str:
    text = _text(value, " or ".join(words))
    if text not in words:
        raise _fault(f"'{text}' is not one of {', '.join(words)}{did_you_mean(text, words)}")
    return text


def _factors(value: Json) -> dict[str, Decimal]:
    if not isinstance(value, dict) or not value:
        raise _fault("expected a mapping of names to numbers")
    return {_text(name, "a name"): _at_least(factor, "0 or more") for name, factor in value.items()}


type Factors = Annotated[dict[str, Decimal], BeforeValidator(_factors)]


class PricesPart(_Part):
    kinds: Factors | None = None
    reversibility: Factors | None = None
    labels: Factors | None = None
    trust: Factors | None = None


class File(_Part):
    version: Annotated[Literal[1], BeforeValidator(lambda v: _version(v))]
    pack: Name | None = None
    tools: tuple[Tool, ...] = ()
    gates: tuple[Gate, ...] = ()
    budgets: tuple[Budget, ...] = ()
    chains: tuple[Chain, ...] = ()
    requires: tuple[Require, ...] = ()
    signals: tuple[Signal, ...] = ()
    commands: tuple[CommandPart, ...] = ()
    statements: tuple[StatementPart, ...] = ()
    model_prices: tuple[ModelPricePart, ...] = ()
    trust: Literal["trusted", "untrusted"] | None = None
    prices: PricesPart | None = None
    lexicon: LexiconPart | None = None
    unmapped: Literal["allow", "hold", "block"] | None = None
    unparsed: Literal["allow", "hold", "block"] | None = None
    model_hosts: Annotated[tuple[str, ...], BeforeValidator(_hosts)] = ()
    opaque: Literal["allow", "block"] | None = None
    pass_through: Annotated[tuple[str, ...], BeforeValidator(_hosts)] = ()


def _version(value: Json) -> Json:
    if type(value) is not int or value != 1:
        raise _fault("this version reads 'version: 1'")
    return value


type Entry = (
    Tool | Gate | Budget | Chain | Require | Signal | CommandPart | StatementPart | ModelPricePart
)

_PARTS: dict[str, type[BaseModel]] = {
    "tools": Tool,
    "gates": Gate,
    "budgets": Budget,
    "chains": Chain,
    "requires": Require,
    "signals": Signal,
    "commands": CommandPart,
    "statements": StatementPart,
    "model_prices": ModelPricePart,
}


def check_shape(document: Document) -> list[Problem]:
    """Returns every mistake of a document's shape; `usable` then has the entries without one."""
    value = document.value
    if not isinstance(value, dict):
        text = f"a rule file is a mapping with 'version: 1', got {json_type(value)}"
        return [document.problem((), text)]
    try:
        File.model_validate(tupled(value))
    except ValidationError as error:
        return list(_problems(document, error))
    return []


def usable(document: Document) -> Iterator[tuple[Path, Entry]]:
    """Yields every list entry that is well-formed by itself, with its path."""
    value = document.value
    if not isinstance(value, dict):
        return
    for key, part in _PARTS.items():
        listed = value.get(key)
        for i, item in enumerate(listed if isinstance(listed, list) else ()):
            try:
                made = part.model_validate(tupled(item))
            except ValidationError:
                continue
            yield (key, i), cast(Entry, made)


def tupled(value: Json) -> Json:
    """Returns lists of mappings as tuples. Strict models take tuples for tuples; only lists of mappings are theirs to check."""
    if isinstance(value, dict):
        return {key: tupled(item) for key, item in value.items()}
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return tuple(tupled(item) for item in value)
    return () if value == [] else value


def _problems(document: Document, error: ValidationError) -> Iterator[Problem]:
    for fault in error.errors(include_url=False):
        path: Path = tuple(fault["loc"])
        yield _problem(document, path, fault["type"], fault["msg"], fault.get("ctx", {}), fault)


def _problem(
    document: Document, path: Path, kind: str, message: str, context: dict[str, Any], fault: Any
) -> Problem:
    last = str(path[-1]) if path else ""
    where = describe(document, path[:-1])
    if kind == "extra_forbidden":
        near = did_you_mean(last, _known_keys(path[:-1]))
        return document.problem(path, f"{where}unknown key '{last}'{near}", key=True)
    if kind == "missing":
        return document.problem(path[:-1], f"{where}the key '{last}' is missing")
    if kind == "checkrein":
        return document.problem(path, f"{where}{last}: {message}")
    got = fault["input"]
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        text = f"'{got}' is not one of {', '.join(words)}" if isinstance(got, str) else ""
        text = text or f"expected one of {', '.join(words)}, got {json_type(got)}"
        near = did_you_mean(got, words) if isinstance(got, str) else ""
        return document.problem(path, f"{where}{last}: {text}{near}")
    expected = "a list" if kind == "tuple_type" else "a mapping of keys to values"
    return document.problem(path, f"{where}{last}: expected {expected}, got {json_type(got)}")


def _known_keys(path: Sequence[str | int]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {
        **_PARTS,
        "effects": EffectPart,
        "http": Http,
        "graphql": Graphql,
        "settle": Settle,
        "steps": StepPart,
        "prices": PricesPart,
        "lexicon": LexiconPart,
        "returns": Returns,
        "trust_by": TrustBy,
        "do": ActionPart,
    }
    part: type[BaseModel] = File
    for name in path:
        part = parts.get(name, part) if isinstance(name, str) else part
    return [field.alias or name for name, field in part.model_fields.items()]


def describe(document: Document, path: Sequence[str | int]) -> str:
    """Returns "budget 'refunds': " for a place in a file: which rule a message is about."""
    if len(path) < 2 or not isinstance(path[1], int):
        return ""
    entry = document.value
    for part in path[:2]:
        entry = entry[part]
    section = str(path[0]).removesuffix("s")
    name = entry.get("name") if isinstance(entry, dict) else None
    if isinstance(name, list) and name:
        name = name[0]
    if isinstance(entry, dict) and name is None and isinstance(entry.get("http"), dict):
        name = entry["http"].get("path")
    return f"{section} '{name}': " if isinstance(name, str) else f"{section} {path[1] + 1}: "
