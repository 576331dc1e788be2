"""CEL expressions: compiled and type-checked at load, evaluated so that doubt is never a yes.

What belongs here: everything that knows the CEL library. Variables are declared with their types,
so that `effect.kid` is a load error with a place. At run time the library returns errors as values
and raises when the iteration budget is spent; both become `ExpressionFault`, and the caller holds
the call. A plain path (`args.a.b`) is read in Python, where `Decimal`s stay exact; everything else
sees a private copy in which they are doubles (the library keeps references into what it is given).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from cel_expr_python import cel

from proxy.canonical import digest, sha256_hex
from proxy.model import Json, Origin, ToolResult
from proxy.policy.amounts import read_amount
from proxy.policy.cel_problems import ExpressionProblem, read_report
from proxy.policy.facts import Facts
from proxy.policy.fetch.hosts import host_of
from proxy.policy.problems import did_you_mean
from proxy.policy.strictjson import json_or_none

type Variables = dict[str, Json]

_DYN, _STRING, _BOOL = cel.Type.DYN, cel.Type.STRING, cel.Type.BOOL
_CALL = {
    "args": _DYN,
    "tool": _STRING,
    "server": _STRING,  # not "namespace", which CEL reserves
    "side": _STRING,
    "provider": _STRING,
    "session": _STRING,
    "agent": _STRING,
    "human": _STRING,
    "identity.session_trust": _STRING,
    "identity.agent_trust": _STRING,
    # What this family of sessions has met so far (`facts.Seen`).
    "seen.kinds": cel.Type.List(_STRING),
    "seen.tools": cel.Type.List(_STRING),
    "seen.labels": cel.Type.List(_STRING),
    "seen.untrusted": _BOOL,
    "seen.calls": cel.Type.INT,
    "user.text": _STRING,
}
_HTTP = {
    "body": _DYN,
    "path": _DYN,
    "query": _DYN,
    "headers": _DYN,
    "method": _STRING,
    "host": _STRING,
    "graphql.operation": _STRING,
    "graphql.type": _STRING,
    "graphql.field": _STRING,
    "graphql.fields": cel.Type.List(_STRING),
    "graphql.args": _DYN,
    "graphql.variables": _DYN,
}
_EFFECT = {
    "effect.kind": _STRING,
    # Dynamic, so that `effect.amount > 100` needs no fraction: CEL does not mix int and double.
    "effect.amount": _DYN,
    "effect.unit": _STRING,
    "effect.target": _STRING,
    "effect.reversibility": _STRING,
    "effect.labels": cel.Type.List(_STRING),
    "effect.points": _DYN,
    "effect.is_new": _BOOL,
}
_ACT = {
    # What the call does and who is behind it (`guess/acting.py`).
    "act.is": _STRING,
    "act.domain": _STRING,
    "act.writes": _BOOL,
    "act.fetches": _BOOL,
    "act.outbound": _BOOL,
    "act.irreversible": _BOOL,
    "act.hard": _BOOL,
    "act.given": _BOOL,
    "act.asked": _BOOL,
    "act.delegated": _BOOL,
    "act.owed": _BOOL,
    "act.said": _BOOL,
    "act.aimed": _BOOL,
    "act.foreign": _BOOL,
    "act.place": _STRING,
    "act.injected": _BOOL,
    "act.injected_target": _BOOL,
    "act.requested": _BOOL,
    "act.suggested": _BOOL,
    "act.carries_secret": _BOOL,
}
_EVIDENCE = {
    "evidence.kind": _STRING,
    "evidence.tool": _STRING,
    "evidence.side": _STRING,
    "evidence.is_error": _BOOL,
    "evidence.text": _STRING,
    "evidence.age_s": cel.Type.INT,
    "evidence.result.json": _DYN,
    "evidence.result.text": _STRING,
    "evidence.result.is_error": _BOOL,
}
_RESULT = {"args": _DYN, "result.is_error": _BOOL, "result.text": _STRING, "result.json": _DYN}

_UNLOGGED = frozenset(
    (
        "seen.tools",
        "user.text",
        "headers",
        "evidence.text",
        "evidence.result.json",
        "evidence.result.text",
    )
)
"""What a decision log does not hold: an answer that depends on it is noted with the decision."""
_ELSEWHERE_NOTED = _UNLOGGED | {"seen.labels", "seen.untrusted"}

_PATH = re.compile(
    r"\s*(args|body|path|query|headers|(?:evidence\.)?result\.json|graphql\.args|graphql\.variables)((?:\.[A-Za-z_]\w*|\[\"[\w .:/@-]*\"\]|\[[0-9]{1,6}\])*)\s*",
    re.ASCII,
)
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[\"([^\"]*)\"\]|\[([0-9]+)\]", re.ASCII)
_FUNCTIONS = {
    "num": "num(args.x)",
    "origin": "origin(args.x)",
    "host": "host(args.url)",
    "has": "has(args.x)",
    "size": "size(args.x)",
    "string": "string(args.x)",
    "int": "int(args.x)",
    "double": "double(args.x)",
    "matches": 'x.matches("pattern")',
    "startsWith": 'x.startsWith("text")',
    "endsWith": 'x.endsWith("text")',
    "contains": 'x.contains("text")',
    "exists": "list.exists(x, x > 1)",
    "all": "list.all(x, x > 1)",
}
"""Functions that are near when a name is wrong, and how each is written."""
_ELSEWHERE = {
    "len": "size(x)",
    "length": "size(x)",
    "lower": 'x.matches("(?i)pattern") to leave case aside',
    "lowerAscii": 'x.matches("(?i)pattern") to leave case aside',
    "toLowerCase": 'x.matches("(?i)pattern") to leave case aside',
    "float": "double(x), or num(x) for text",
    "str": "string(x)",
    "any": "list.exists(x, x > 1)",
    "indexOf": "x.contains(y)",
    "split": "x.matches(pattern)",
    "regex": "x.matches(pattern)",
    "not": "!x, or !(x in list)",
    "None": "null",
    "nil": "null",
    "undefined": "!has(args.x)",
}
"""Names of other languages, and how CEL says it here."""


class ExpressionFault(Exception):
    """An expression that gave no usable value; the text says why."""


def _num(value: Json) -> float:
    if isinstance(value, str):
        digits = value.removeprefix("-")
        return float(read_amount(digits)) * (-1 if digits != value else 1)
    return float(value)


_NUM = cel.FunctionDecl(
    "num",
    [
        cel.Overload(f"num_{kind.name().lower()}", cel.Type.DOUBLE, [kind], impl=_num)
        for kind in (cel.Type.INT, cel.Type.UINT, cel.Type.DOUBLE, cel.Type.STRING)
    ],
)


_SAYS = ("user", "system", "result", "trusted", "untrusted", "model", "tools", "labels")
_ORIGIN_FIELD = re.compile(r"\)\s*\.\s*([A-Za-z_]\w*)", re.ASCII)
_MAP = cel.Type.Map(_STRING, _DYN)
_KINDS_OF_VALUE = {
    "text": _STRING,
    "int": cel.Type.INT,
    "uint": cel.Type.UINT,
    "double": cel.Type.DOUBLE,
    "bool": _BOOL,
    "list": cel.Type.List(_DYN),
    "map": cel.Type.Map(_DYN, _DYN),
    "null": cel.Type.NULL,
}


class _Asking(threading.local):
    """Whose past `origin()` is asked of: a function that CEL calls gets its arguments and no more."""

    facts: Facts | None = None


_asking = _Asking()


def _origin(value: Json) -> dict[str, Json]:
    facts = _asking.facts
    return origin_value(facts.origin(value) if facts is not None else Origin(model=True))


def origin_value(origin: Origin) -> dict[str, Json]:
    """Returns an origin as expressions see it."""
    return {
        "user": origin.user,
        "system": origin.system,
        "result": origin.result,
        "trusted": origin.trusted,
        "untrusted": origin.untrusted,
        "model": origin.model,
        "tools": list(origin.tools),
        "labels": list(origin.labels),
    }


_HOST = cel.FunctionDecl("host", [cel.Overload("host_text", _STRING, [_STRING], impl=host_of)])
_ORIGIN = cel.FunctionDecl(
    "origin",
    [
        cel.Overload(f"origin_{name}", _MAP, [kind], impl=_origin)
        for name, kind in _KINDS_OF_VALUE.items()
    ],
)


class Dialect:
    """One set of declared variables: what an expression at one place of a rule may speak of."""

    def __init__(self, variables: Mapping[str, cel.Type]) -> None:
        self.variables = tuple(variables)
        self._env = cel.NewEnv(variables=variables, functions=[_NUM, _HOST, _ORIGIN])
        # A name in a string or as a field counts too: one variable too many does no harm.
        self._named = {
            name: re.compile(r"(?<!\w)" + name.replace(".", r"\s*\.\s*") + r"(?!\w)", re.ASCII)
            for name in variables
        }

    def compile(self, text: str) -> Expression:
        """Compiles an expression.

        Raises:
            ExpressionErrors: it is not one; all mistakes that CEL names are in it.
        """
        try:
            compiled = self._env.compile(text)
        except RuntimeError as error:
            found = read_report(text, str(error), self._undeclared)
            raise ExpressionErrors(list(found)) from error
        wrong = list(_origin_problems(text))
        if wrong:
            raise ExpressionErrors(wrong)
        needs = tuple(name for name, pattern in self._named.items() if pattern.search(text))
        return Expression(text, compiled, needs, _reader(text), _ASKS.search(text) is not None)

    def _undeclared(self, name: str) -> str:
        root = name.partition(".")[0]
        if root in _HTTP and root not in self.variables:
            return f"'{name}': only an 'http:' entry and gates have '{root}'"
        if name in _EFFECT:
            return f"'{name}': only gates, chains and requires have 'effect'"
        if name in _ACT:
            return f"'{name}': only gates, chains and requires have 'act'"
        if root == "evidence" and "evidence.kind" not in self.variables:
            return f"'{name}': only requires have 'evidence'"
        if name in _FUNCTIONS:
            return f"'{name}' is written {_FUNCTIONS[name]}"
        if name in _ELSEWHERE:
            return f"unknown name '{name}'; write {_ELSEWHERE[name]}"
        near = did_you_mean(name, (*self.variables, *_FUNCTIONS, "true", "false", "null"))
        return f"unknown variable or function '{name}'{near}"


class ExpressionErrors(Exception):
    def __init__(self, problems: list[ExpressionProblem]) -> None:
        super().__init__("; ".join(problem.text for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression and, for a plain path, the reader that needs no CEL."""

    text: str
    compiled: cel.Expression
    needs: tuple[str, ...]
    read: Callable[[Scope], Json] | None
    asks_origin: bool = False

    @property
    def type_name(self) -> str:
        """CEL's name of the static type: BOOL, DYN, STRING, LIST<INT> …"""
        return str(self.compiled.return_type().name())

    def value(self, scope: Scope) -> Json:
        """Returns the value; a plain path keeps its exact numbers.

        Raises:
            ExpressionFault: there is none.
        """
        if scope.facts is not None and self._is_unlogged():
            scope.facts.reads_unlogged(self.text)
        if self.read is not None:
            return self.read(scope)
        return self._evaluate(scope)[1]

    def truth(self, scope: Scope) -> bool:
        """Returns true or false, nothing else counts.

        Raises:
            ExpressionFault: an error, or a value that is not a boolean.
        """
        is_unlogged = self._is_unlogged()
        if scope.facts is None or not (is_unlogged or self.asks_origin):
            return self._truth(scope)
        question = f"{'when' if is_unlogged else 'from'}:{self._asked(scope)}"
        answer = scope.facts.told(question, partial(self._told, scope))
        if isinstance(answer, str):
            raise ExpressionFault(answer)
        return answer is True

    def _is_unlogged(self) -> bool:
        return not _UNLOGGED.isdisjoint(self.needs)

    def _asked(self, scope: Scope) -> str:
        """Returns a digest of the condition and of all that it reads and a log holds."""
        read: Variables = {"": self.text}
        names = [name for name in self.needs if name not in _ELSEWHERE_NOTED]
        if any(name.startswith("evidence.") for name in self.needs):  # of which effect it is
            names = [n for n in names if not n.startswith("evidence.")]
            names += ["effect.kind", "effect.target"]
        for name in names:
            with suppress(KeyError):
                read[name] = scope[name]
        try:
            return digest(read)[:12]
        except (ValueError, RecursionError):  # a text that no JSON has
            return sha256_hex(repr(read).encode("utf-8", "surrogatepass"))[:12]

    def _told(self, scope: Scope) -> bool | str:
        """Returns true or false, or why there is neither."""
        try:
            return self._truth(scope)
        except ExpressionFault as error:
            return str(error)

    def _truth(self, scope: Scope) -> bool:
        if self.read is not None:
            value = self.read(scope)
        else:
            kind, value = self._evaluate(scope)
            if kind != _BOOL:
                raise ExpressionFault(f"gave {kind.name().lower()}, not true or false")
        if value is True or value is False:
            return value
        raise ExpressionFault("gave no boolean, but true or false is needed")

    def _data(self, scope: Scope) -> Variables:
        """Only what the text speaks of: building an activation costs more than evaluating."""
        made: Variables = {}
        for name in self.needs:
            with suppress(KeyError):  # CEL then says itself what is missing
                made[name] = scope.copy_of(name)
        return made

    def _evaluate(self, scope: Scope) -> tuple[cel.Type, Json]:
        if self.asks_origin:
            _asking.facts = scope.facts
        try:
            found = self.compiled.eval(data=self._data(scope))
            kind = found.type()
            value = found.plain_value()
        except Exception as error:
            raise ExpressionFault(_brief(str(error))) from error
        if kind == cel.Type.ERROR or kind == cel.Type.UNKNOWN:
            raise ExpressionFault(_brief(str(value)))
        return kind, value


class Scope:
    """The variables of one evaluation, over those of a wider one; CEL's copies are made once."""

    __slots__ = ("_base", "_copies", "_own", "facts")

    def __init__(
        self, variables: Variables, base: Scope | None = None, facts: Facts | None = None
    ) -> None:
        self._own = variables
        self._base = base
        self._copies: Variables = {}
        self.facts: Facts | None = facts if base is None else base.facts

    def __getitem__(self, name: str) -> Json:
        """Raises KeyError where there is no such variable."""
        if name in self._own or self._base is None:
            return self._own[name]
        return self._base[name]

    def copy_of(self, name: str) -> Json:
        """Returns a variable as CEL may have it. Raises KeyError where there is none."""
        if name not in self._own and self._base is not None:
            return self._base.copy_of(name)
        if name not in self._copies:
            self._copies[name] = _for_cel(self._own[name])
        return self._copies[name]


def result_scope(arguments: Json, result: ToolResult) -> Scope:
    """Returns what an expression about a tool's result sees (`RESULT`)."""
    return Scope(
        {
            "args": arguments,
            "result.is_error": result.is_error,
            "result.text": result.text,
            "result.json": json_or_none(result.text),
        }
    )


_ASKS = re.compile(r"(?<![\w.])origin\s*\(", re.ASCII)


def _origin_problems(text: str) -> Iterator[ExpressionProblem]:
    """Finds what an origin does not say: its map is dynamic, so CEL would only tell at run time."""
    for call in _ASKS.finditer(text):
        end = _closing(text, call.end())
        field = _ORIGIN_FIELD.match(text, end)
        if field is not None and field[1] not in _SAYS:
            near = did_you_mean(field[1], _SAYS) or f"; it has {', '.join(_SAYS)}"
            yield ExpressionProblem(field.start(1), f"an origin has no '{field[1]}'{near}")


def _closing(text: str, at: int) -> int:
    """Returns where the parenthesis closes that was opened before `at`; quotes are stepped over."""
    depth, quote = 1, ""
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        else:
            depth += (char == "(") - (char == ")")
            if depth == 0:
                return at
        at += 1
    return at


def _for_cel(value: Json) -> Json:
    kind = type(value)
    if kind is str or kind is bool or kind is int or value is None:
        return value
    if kind is Decimal:
        return float(value)
    if isinstance(value, dict):
        return {key: _for_cel(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_for_cel(item) for item in value]
    return value


def _reader(text: str) -> Callable[[Scope], Json] | None:
    found = _PATH.fullmatch(text)
    if found is None:
        return None
    root = found[1]
    steps: tuple[str | int, ...] = tuple(
        int(index) if index else (name or quoted) for name, quoted, index in _STEP.findall(found[2])
    )

    def read(scope: Scope) -> Json:
        try:
            value = scope[root]
        except KeyError:
            raise ExpressionFault(f"there is no {root} here") from None
        for step in steps:
            if isinstance(step, str):
                if not isinstance(value, dict) or step not in value:
                    raise ExpressionFault(f"there is no '{step}' in it")
            elif not isinstance(value, list) or step >= len(value):
                raise ExpressionFault(f"there is no item [{step}] in it")
            value = value[step]
        return value

    return read


def _brief(text: str) -> str:
    """Drops the status word, and what follows it where that would repeat a value from the call."""
    words = re.sub(r"^[A-Z_]+: ", "", text.splitlines()[0] if text else "no value")
    if words.startswith("Integer value"):
        return "an integer is out of range"
    return words.partition(" -> ")[0].partition(" [")[0][:200]


def tool_variables() -> dict[str, cel.Type]:
    """The variables that every expression about a call has; readers add their own."""
    return dict(_CALL)


TOOL = Dialect(_CALL)
ROUTE = Dialect(_CALL | _HTTP)
GATE = Dialect(_CALL | _HTTP | _EFFECT | _ACT)
REQUIRES = Dialect(_CALL | _HTTP | _EFFECT | _ACT | _EVIDENCE)
RESULT = Dialect(_RESULT)
SIGNAL = Dialect({"signal": _DYN})
CONFIDENCE = Dialect({"args": _DYN, "tool": _STRING})
