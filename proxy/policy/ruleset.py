"""A compiled rule set: the door through which calls are judged and results settled.

What belongs here: finding the entry of a call, and putting effects, gates and budgets together.
Everything is compiled at load; a set never changes and may be asked from any thread. Cost per call
is one dictionary look-up, one CEL evaluation a gate and effect, one charge a budget and effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlencode

from proxy.model import (
    BudgetState,
    Call,
    Charge,
    ChargedEffect,
    HttpCall,
    Identity,
    Json,
    Measure,
    Reason,
    Settlement,
    ToolResult,
    Verdict,
)
from proxy.policy.budgets import assess_call
from proxy.policy.cel import Scope, Variables
from proxy.policy.effects import CompiledSettle, Produced
from proxy.policy.gates import NO_EFFECT, effect_variables
from proxy.policy.graphql import GraphqlFault, RootField, read_graphql
from proxy.policy.load import Loaded, ToolEntry, load_paths, load_texts
from proxy.policy.routes import Match, Routes, normal_host
from proxy.policy.strictjson import json_or_none

_TRAFFIC = frozenset({"unparsed", "opaque", "pass-through"})
"""Kinds of calls that stand for traffic nobody can read; no `tools:` entry or gate is about them."""
_UNASKED = frozenset({"mcp_resource", "mcp_prompt", "mcp_sampling", "mcp_elicitation"})
"""Kinds of MCP traffic that is not a tool: `unmapped` would hold a protocol by surprise."""

_MOST_CACHED = 4096
"""Names are the agent's to choose, so the cache has an end."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the rules say of one call; the ledger has the last word on `effects`' charges."""

    effects: tuple[ChargedEffect, ...]
    reasons: tuple[Reason, ...]
    mapped: bool
    call_states: tuple[BudgetState, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """An entry that a call falls under; for GraphQL by one root field among all that are asked for."""

    tool: ToolEntry
    match: Match | None = None
    field: RootField | None = None
    names: tuple[str, ...] = ()


class RuleSet:
    """Rules in force. Make one with `load` or `load_text`."""

    def __init__(self, loaded: Loaded) -> None:
        self.files = loaded.files
        self.digest = loaded.digest
        self.unmapped = loaded.unmapped
        self.unparsed = loaded.unparsed
        self.opaque = loaded.opaque
        self.model_hosts = loaded.model_hosts
        self.pass_through = loaded.pass_through
        self.warnings = loaded.warnings
        self._gates = tuple(loaded.gates)
        self._tools = tuple(loaded.tools)
        named = [(name, tool) for tool in self._tools for name in tool.names]
        self._exact = {name: tool for name, tool in named if not is_glob(name)}
        globs = [(name, tool) for name, tool in named if is_glob(name)]
        self._globs = sorted(globs, key=lambda item: literal_length(item[0]), reverse=True)
        self._routes = Routes(
            (i, tool.route) for i, tool in enumerate(self._tools) if tool.route is not None
        )
        self._found: dict[str, ToolEntry | None] = {}
        self._settles: dict[str, CompiledSettle] = {}
        for effect in (effect for tool in self._tools for effect in tool.effects):
            covering = [budget for budget in loaded.budgets if budget.covers(effect.kind)]
            effect.budgets = tuple(b for b in covering if b.per != "call")
            effect.call_budgets = tuple(b for b in covering if b.per == "call")
            effect.units_counted = frozenset(b.unit for b in covering if b.unit is not None)
            if effect.settle is not None:
                self._settles[effect.rule] = effect.settle

    @classmethod
    def load(cls, paths: Sequence[Path]) -> RuleSet:
        """Loads rule files and folders of them.

        Raises:
            RuleErrors: with every mistake of every file.
        """
        return cls(load_paths(paths))

    @classmethod
    def load_text(cls, name: str, text: str) -> RuleSet:
        """Loads one rule file from its text; `name` stands in messages.

        Raises:
            RuleErrors: with every mistake.
        """
        return cls(load_texts([(name, text)]))

    def assess(self, call: Call, identity: Identity, http: HttpCall | None = None) -> Assessment:
        """Returns a call's effects with their charges, and every reason against it.

        Only the ledger's budgets are missing: whether the charges fit is known there.
        """
        if call.kind in _TRAFFIC:
            return self._assess_traffic(call)
        try:
            found = self._found_for(call, http)
        except GraphqlFault as error:
            text = f"the GraphQL request has no single reading: {error}"
            return Assessment((), (Reason("unreadable-graphql", text, Verdict.BLOCK),), True)
        tool = found[0].tool if found else None
        if call.fault is not None:
            text = f"the arguments have no single reading: {call.fault}"
            reason = Reason("unreadable-arguments", text, Verdict.BLOCK)
            return Assessment((), (reason,), tool is not None)
        reasons: list[Reason] = []
        why = next((f.match.ambiguous for f in found if f.match and f.match.ambiguous), None)
        if why is not None:
            reasons.append(Reason("ambiguous-path", why, Verdict.HOLD))
        # A request only comes here because `route` knew it: that its route is gone now is no licence.
        unmapped = self.unmapped if http is None else max(self.unmapped, Verdict.HOLD)
        if tool is None and unmapped is not Verdict.ALLOW and call.kind not in _UNASKED:
            text = f"no rule knows the tool '{call.name}': add it under 'tools:'"
            reasons.append(Reason("unmapped", text, unmapped))
        try:
            return self._assess(call, identity, http, found, reasons)
        except RecursionError:
            text = "the arguments are nested too deeply to be judged"
            reasons.append(Reason("unreadable-arguments", text, Verdict.BLOCK))
            return Assessment((), tuple(reasons), tool is not None)

    def settle(self, rule: str, arguments: Json, result: ToolResult) -> Settlement:
        """Reads from an observed result what became of one effect; `rule` is `Effect.rule`."""
        compiled = self._settles.get(rule)
        if compiled is None:
            return Settlement(ok=None)
        return compiled.settle(arguments, result, json_or_none(result.text))

    def route(self, method: str, host: str, path: str) -> bool:
        """Tells whether a request is a call that some rule knows, or may be one: see `is_call`."""
        return self._routes.match(method, host, path) is not None

    def is_call(self, http: HttpCall) -> bool:
        """Tells the same once the body is read: a GraphQL document may ask for nothing that rules name."""
        try:
            return bool(self._found_by_route(http))
        except GraphqlFault:
            return True

    def names_host(self, host: str) -> bool:
        """Tells whether some route is on a host."""
        return self._routes.names(normal_host(host))

    def route_name(self, method: str, host: str, path: str) -> str | None:
        """Returns the name a request's call has, "POST billing.internal/v1/refunds/{id}"."""
        match = self._routes.match(method, host, path)
        return match.name if match is not None else None

    def _found_for(self, call: Call, http: HttpCall | None) -> tuple[_Found, ...]:
        """Returns the entries that a call falls under: one, or one a root field of GraphQL."""
        if http is not None:
            return self._found_by_route(http)
        name = call.name
        if name in self._exact:
            return (_Found(self._exact[name]),)
        if name not in self._found:
            if len(self._found) >= _MOST_CACHED:
                self._found.clear()
            fitting = (tool for pattern, tool in self._globs if fnmatchcase(name, pattern))
            self._found[name] = next(fitting, None)
        tool = self._found.get(name)
        return (_Found(tool),) if tool is not None else ()

    def _found_by_route(self, http: HttpCall) -> tuple[_Found, ...]:
        """Raises GraphqlFault: which root fields are asked for cannot be told."""
        query = urlencode(http.query) if http.query else ""
        matches = self._routes.matches(http.method, http.host, http.path, query)
        plain = [_Found(self._tools[m.index], m) for m in matches if not m.route.fields]
        if len(plain) == len(matches):
            return tuple(plain[:1])
        asked = read_graphql(http)
        names = tuple(one.name for one in asked)
        found: list[_Found] = []
        for one in asked:
            fits = [(fit, m) for m in matches if (fit := m.route.has_field(one.name, one.type))]
            if fits:
                match = max(fits, key=lambda item: item[0])[1]
                found.append(_Found(self._tools[match.index], match, one, names))
        return tuple(found) or tuple(plain[:1])

    def _assess_traffic(self, call: Call) -> Assessment:
        """What is no call that anybody can read: the operator says by one word what becomes of it."""
        verdict = {"unparsed": self.unparsed, "opaque": self.opaque}.get(call.kind, Verdict.ALLOW)
        told = call.arguments if isinstance(call.arguments, dict) else {}
        text = f"{told.get('why', call.name)}; '{call.kind}: {verdict.label}' in the rules"
        if "never" in told:
            verdict, text = Verdict.BLOCK, f"{told.get('why')}; {told['never']}"
        return Assessment((), (Reason(call.kind, text, verdict),), mapped=False)

    def _assess(
        self,
        call: Call,
        identity: Identity,
        http: HttpCall | None,
        found: tuple[_Found, ...],
        reasons: list[Reason],
    ) -> Assessment:
        match = found[0].match if found else None
        base = Scope(_variables(call, identity, http, match))
        produced: list[Produced] = []
        scopes: list[Scope] = []
        for one in found:
            at = base if one.field is None else Scope(_graphql(one.field, one.names), base)
            made = [p for c in one.tool.effects if (p := c.produce(at, reasons)) is not None]
            produced += made
            shown = [effect_variables(p.effect, amount_known=p.amount_known) for p in made]
            scopes += [Scope(variables, at) for variables in shown or [NO_EFFECT]]
        charged = tuple(_charge(one, identity, reasons) for one in produced)
        if self._gates:
            scopes = scopes or [Scope(NO_EFFECT, base)]
            for gate in self._gates:
                answer = gate.judge(scopes)
                if answer is not None:
                    reasons.append(answer)
        per_call = [(p.effect, p.source.call_budgets) for p in produced if p.source.call_budgets]
        states = assess_call(per_call, reasons) if per_call else ()
        return Assessment(charged, tuple(reasons), bool(found), states)


def _charge(produced: Produced, identity: Identity, reasons: list[Reason]) -> ChargedEffect:
    source, effect = produced.source, produced.effect
    charges: list[Charge] = []
    for budget in source.budgets:
        charges.extend(budget.charges(effect, identity))
    for budget in (*source.budgets, *source.call_budgets):
        if budget.measure is Measure.SUM and not produced.amount_known:
            continue  # that the amount could not be read is said already
        fault = budget.fault(effect, source.units_counted)
        if fault is not None:
            reasons.append(source.hold(fault))
    return ChargedEffect(effect, tuple(charges))


def _variables(
    call: Call, identity: Identity, http: HttpCall | None, match: Match | None
) -> Variables:
    made: Variables = {
        "args": call.arguments,
        "tool": call.name,
        "server": call.namespace or "",
        "side": str(call.side),
        "provider": call.provider,
        "session": identity.session,
        "agent": identity.agent,
        "human": identity.human or "",
        "identity.session_trust": identity.session_trust.label,
        "identity.agent_trust": identity.agent_trust.label,
        "body": {},
        "path": {},
        "query": {},
        "headers": {},
        "method": "",
        "host": "",
        **_NO_GRAPHQL,
    }
    if http is not None:
        body = {} if http.body is None else http.body
        made["args"] = made["body"] = body
        made["path"] = match.variables if match is not None else {}
        made["query"] = dict(http.query)
        made["headers"] = _headers(http.headers)
        made["method"] = http.method.upper()
        made["host"] = match.host if match is not None else http.host
    return made


_NO_GRAPHQL: Variables = {
    "graphql.operation": "",
    "graphql.type": "",
    "graphql.field": "",
    "graphql.fields": [],
    "graphql.args": {},
    "graphql.variables": {},
}


def _graphql(field: RootField, names: tuple[str, ...]) -> Variables:
    return {
        "graphql.operation": field.operation,
        "graphql.type": field.type,
        "graphql.field": field.name,
        "graphql.fields": list(names),
        "graphql.args": field.args,
        "graphql.variables": field.variables,
    }


def _headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Lower-case names; repeated ones joined as RFC 9110 section 5.3 joins them."""
    made: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        made[key] = f"{made[key]}, {value}" if key in made else value
    return made


def is_glob(name: str) -> bool:
    return bool(set(name) & set("*?["))


def literal_length(pattern: str) -> int:
    """Returns how much of a glob is fixed: the longer, the more specific."""
    return sum(char not in "*?[]" for char in pattern)
