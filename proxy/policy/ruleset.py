"""A compiled rule set: the door through which calls are judged and results settled.

What belongs here: finding the entry of a call, and putting effects, gates, chains, preconditions and
budgets together. Everything is compiled at load; a set never changes and may be asked from any thread.
What the session has met before comes in as `Facts`. Cost per call is one dictionary look-up, one CEL
evaluation for each gate that can be about the call (`conditions.py`), one charge a budget and effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from proxy.model import (
    BudgetState,
    Call,
    Charge,
    ChargedEffect,
    Effect,
    HttpCall,
    Identity,
    Json,
    Measure,
    Reason,
    Settlement,
    ToolResult,
    Verdict,
)
from proxy.policy.budgets import SPENDING, Budget, UnitsCounted, assess_call
from proxy.policy.cel import Scope, Variables
from proxy.policy.chains import Acting, Advance, Chain
from proxy.policy.conditions import Index
from proxy.policy.effects import CompiledSettle, Produced
from proxy.policy.entries import Entries, Found
from proxy.policy.facts import NO_FACTS, Facts, InForce, Seen
from proxy.policy.gates import NO_EFFECT, Gate, effect_variables
from proxy.policy.graphql import GraphqlFault
from proxy.policy.guess.acting import Acts
from proxy.policy.guess.reader import GuessReader
from proxy.policy.labels.declared import Applied
from proxy.policy.load import Loaded, ToolEntry, load_paths, load_texts
from proxy.policy.model_prices import PriceTable
from proxy.policy.modes import beside_enforced, file_in_shadow, plain_kind
from proxy.policy.problems import Problem
from proxy.policy.requires import Require, evidence_tools
from proxy.policy.signals import Signal
from proxy.policy.two_modes import beside_one_another, in_shadow_alone
from proxy.policy.undo import Undo
from proxy.policy.variables import call_variables, field_variables

_TRAFFIC = frozenset({"unparsed", "opaque", "pass-through"})
"""Kinds of calls that stand for traffic nobody can read; no `tools:` entry or gate is about them."""
_UNASKED = frozenset({"mcp_resource", "mcp_prompt", "mcp_sampling", "mcp_elicitation"})
"""Kinds of MCP traffic that is not a tool: `unmapped` would hold a protocol by surprise."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the rules say of one call; the ledger has the last word on `effects`' charges."""

    effects: tuple[ChargedEffect, ...]
    reasons: tuple[Reason, ...]
    mapped: bool
    call_states: tuple[BudgetState, ...] = ()
    advances: tuple[Advance, ...] = ()  # chains' new states, for when it is let through
    shadowed: tuple[
        ChargedEffect, ...
    ] = ()  # that only files in shadow know of; their kinds say so
    known_in_shadow: bool = False  # without the files in shadow, this request is no call at all


class RuleSet:
    """Rules in force. Make one with `load` or `load_text`."""

    def __init__(self, loaded: Loaded) -> None:
        self._enforced = RuleSet(loaded.enforced) if loaded.enforced is not None else None
        if self._enforced is not None:
            loaded = beside_enforced(loaded)
        self.files = loaded.files
        self.digest = loaded.digest
        self.unmapped = loaded.unmapped
        self.unparsed = loaded.unparsed
        self.opaque = loaded.opaque
        stated = loaded.enforced or loaded
        self.model_hosts = stated.model_hosts
        self.pass_through = stated.pass_through
        self.approvals = tuple(stated.approvals)
        self.waiting = tuple(stated.waiting)
        self.wait_tool = stated.wait_tool
        self._loaded = loaded
        self.trusts_results = stated.trusts_results
        self._echoes = loaded.enforced is not None
        # Of what no rule says: a tool without an entry, arguments that cannot be read. Where a rule of
        # a file in shadow is enforced all the same, nothing unread may lead round it.
        self._words_in_shadow = self._echoes or loaded.all_in_shadow
        self._doubts_in_shadow = self._words_in_shadow and all(r.shadow for r in _rules(loaded))
        self._gates = Index((gate.when.text, gate) for gate in loaded.gates)
        self._chains = tuple(loaded.chains)
        self._requires = tuple(loaded.requires)
        self._tools = tuple(loaded.tools)
        self._lexicon = loaded.lexicon
        self._entries = Entries(self._tools)
        self._settles: dict[str, CompiledSettle] = {}
        self._undos: dict[str, Undo] = {}
        self._budgets = tuple(loaded.budgets)
        self._prices = loaded.prices
        brings: dict[str, list[str]] = {}
        for tool in self._tools:
            for effect in tool.all_effects:
                covering = self._covering(effect.kind)
                effect.budgets = tuple(b for b in covering if b.per != "call")
                effect.call_budgets = tuple(b for b in covering if b.per == "call")
                effect.units_counted = UnitsCounted(covering)
                effect.price = self._prices.base(effect.kind, effect.reversibility.value)
                brings.setdefault(effect.kind, []).append(tool.label)
                if effect.settle is not None:
                    self._settles[effect.rule] = effect.settle
                if tool.undo is not None:
                    self._undos[effect.rule] = tool.undo
        self._evidence = {r.name: evidence_tools(r, brings) for r in self._requires}
        self._spoken = loaded.variables()
        self._asks_acts = any(name.startswith("act.") for name in self._spoken)
        self._sums_points = any(b.unit == "points" for b in self._budgets)
        self._chains_of = lru_cache(4096)(self._concerned_chains)
        self._requires_of = lru_cache(4096)(self._concerned_requires)
        self.signals = tuple(loaded.signals)
        self.model_prices = PriceTable(stated.model_prices)
        counting = [*self._budgets, *(self._enforced._budgets if self._enforced else ())]
        self.spending_kinds = frozenset(
            kind for kind in SPENDING for b in counting if b.names(kind)
        )
        self.enforced_spending = frozenset(
            kind for kind in SPENDING for b in counting if b.names(kind) and not b.shadow
        )
        self.renamed = tuple((was, b.name) for b in loaded.budgets for was in b.was)
        self.checkpoint_budgets = frozenset(b.name for b in counting if b.since_checkpoint)

    @property
    def compiled(self) -> Loaded:
        """The compiled rules by kind, for people to look at."""
        return self._loaded

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is odd about the set, in file order."""
        return self._loaded.warnings

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

    def assess(
        self,
        call: Call,
        identity: Identity,
        http: HttpCall | None = None,
        facts: Facts = NO_FACTS,
    ) -> Assessment:
        """Returns a call's effects with their charges, and every reason against it.

        Only the ledger's budgets are missing: whether the charges fit is known there.
        """
        enforced = self._enforced
        if enforced is None:
            return self._assess_call(call, identity, http, facts)
        beside = self._assess_call(call, identity, http, facts.with_shadow())
        if http is not None and not enforced.is_call(http) and self._entries.is_call(http):
            return in_shadow_alone(beside)
        return beside_one_another(enforced.assess(call, identity, http, facts), beside)

    def _assess_call(
        self, call: Call, identity: Identity, http: HttpCall | None, facts: Facts
    ) -> Assessment:
        if call.kind in _TRAFFIC:
            return self._assess_traffic(call, facts)
        try:
            found = self._entries.of_call(call, http)
        except GraphqlFault as error:
            text = f"the GraphQL request has no single reading: {error}"
            return Assessment((), (self._doubt("unreadable-graphql", text),), True)
        tool = found[0].tool if found else None
        if call.fault is not None:
            text = f"the arguments have no single reading: {call.fault}"
            return Assessment((), (self._doubt("unreadable-arguments", text),), tool is not None)
        reasons: list[Reason] = []
        why = next((f.match.ambiguous for f in found if f.match and f.match.ambiguous), None)
        if why is not None:
            reasons.append(self._doubt("ambiguous-path", why, Verdict.HOLD))
        # A request only comes here because `route` knew it: that its route is gone now is no licence.
        unmapped = self.unmapped if http is None else max(self.unmapped, Verdict.HOLD)
        if tool is None and unmapped is not Verdict.ALLOW and call.kind not in _UNASKED:
            text = f"no rule knows the tool '{call.name}': add it under 'tools:'"
            reasons.append(Reason("unmapped", text, unmapped, shadow=self._words_in_shadow))
        try:
            return self._assess(call, identity, http, found, reasons, facts)
        except RecursionError:
            text = "the arguments are nested too deeply to be judged"
            reasons.append(self._doubt("unreadable-arguments", text))
            return Assessment((), tuple(reasons), tool is not None)

    def _doubt(self, rule: str, text: str, verdict: Verdict = Verdict.BLOCK) -> Reason:
        """What stops a call because it cannot be read, whatever the rules say."""
        return Reason(rule, text, verdict, shadow=self._doubts_in_shadow)

    def undo_of(self, rule: str) -> Undo | None:
        """Returns how the call is undone whose effect came about by this rule."""
        return self._undos.get(rule)

    def settle(self, rule: str, arguments: Json, result: ToolResult) -> Settlement:
        """Reads from an observed result what became of one effect; `rule` is `Effect.rule`."""
        compiled = self._settles.get(rule)
        if compiled is None:
            return Settlement(ok=None)
        return compiled.settle(arguments, result)

    def route(self, method: str, host: str, path: str) -> bool:
        """Tells whether a request is a call that some rule knows, or may be one: see `is_call`."""
        return self._entries.route(method, host, path)

    def enforcing(self) -> tuple[RuleSet, ...]:
        """Returns whose routes make a request a call that may be refused: none where all is in shadow."""
        stated = () if self._enforced is None else (self._enforced,)
        return stated if self._doubts_in_shadow else (*stated, self)

    def is_call(self, http: HttpCall) -> bool:
        """Tells the same once the body is read: a GraphQL document may ask for nothing that rules name."""
        if self._enforced is not None and self._enforced.is_call(http):
            return True
        return self._entries.is_call(http)

    def names_host(self, host: str) -> bool:
        """Tells whether some route is on a host."""
        return (self._enforced or self)._entries.names_host(host)

    def route_name(self, method: str, host: str, path: str) -> str | None:
        """Returns the name a request's call has, "POST billing.internal/v1/refunds/{id}"."""
        stated = self._enforced.route_name(method, host, path) if self._enforced else None
        return stated or self._entries.route_name(method, host, path)

    def _assess_traffic(self, call: Call, facts: Facts) -> Assessment:
        """What is no call that anybody can read: the operator says by one word what becomes of it."""
        verdict = {"unparsed": self.unparsed, "opaque": self.opaque}.get(call.kind, Verdict.ALLOW)
        told = call.arguments if isinstance(call.arguments, dict) else {}
        text = f"{told.get('why', call.name)}; '{call.kind}: {verdict.label}' in the rules"
        if "never" in told:
            verdict, text = Verdict.BLOCK, f"{told.get('why')}; {told['never']}"
        reasons = [Reason(call.kind, text, verdict, shadow=self._words_in_shadow)]
        reasons += self._frozen(facts)
        return Assessment((), tuple(reasons), mapped=False)

    def _assess(
        self,
        call: Call,
        identity: Identity,
        http: HttpCall | None,
        found: tuple[Found, ...],
        reasons: list[Reason],
        facts: Facts,
    ) -> Assessment:
        match = found[0].match if found else None
        base = Scope(call_variables(call, identity, http, match, self._seen(facts)), facts=facts)
        asked = self._acts(call, base, facts)
        acts: list[_Act] = []
        bare: list[Scope] = []
        for one in found:
            at = base if one.field is None else Scope(field_variables(one.field, one.names), base)
            made = one.tool.produce(at, reasons)
            if self._doubts_in_shadow:
                reasons[:] = [r if r.shadow else replace(r, shadow=True) for r in reasons]
            acts += [self._act(p, at, identity, facts, asked) for p in made]
            bare += [] if made else [Scope(_no_effect(asked, mapped=True), at)]
        scopes = [act.scope for act in acts] + bare
        if not scopes:
            scopes = [Scope(_no_effect(asked, mapped=False), base)]
        return self._judge(call, identity, acts, scopes, reasons, facts, bool(found))

    def _frozen(self, facts: Facts) -> Iterable[Reason]:
        """A freeze, by a human or a signal; one by a signal in shadow is only told."""
        if facts.in_force.frozen is not None:
            yield Reason("frozen", facts.in_force.frozen, Verdict.BLOCK, shadow=self._echoes)
        if facts.in_shadow.frozen is not None:
            yield Reason("frozen", facts.in_shadow.frozen, Verdict.BLOCK, shadow=True)

    def _acts(self, call: Call, base: Scope, facts: Facts) -> Acts | None:
        """What `act.*` says of a call, where some expression asks."""
        if not self._asks_acts:
            return None
        return Acts(self._lexicon, call.name, base["args"], facts)

    def assess_effects(
        self,
        call: Call,
        identity: Identity,
        effects: Sequence[Effect],
        reasons: Sequence[Reason] = (),
        facts: Facts = NO_FACTS,
    ) -> Assessment:
        """Returns the same for what has no tool entry: its effects are given (a model request's cost)."""
        if self._enforced is not None:
            stated = self._enforced.assess_effects(call, identity, effects, reasons, facts)
            beside = self._assess_effects(call, identity, effects, (), facts.with_shadow())
            return beside_one_another(stated, beside)
        return self._assess_effects(call, identity, effects, reasons, facts)

    def _assess_effects(
        self,
        call: Call,
        identity: Identity,
        effects: Sequence[Effect],
        reasons: Sequence[Reason],
        facts: Facts,
    ) -> Assessment:
        base = Scope(call_variables(call, identity, None, None, self._seen(facts)), facts=facts)
        asked = self._acts(call, base, facts)
        acts = []
        for effect in effects:
            made = effect_variables(effect, amount_known=True, is_new=False)
            if asked is not None:
                made |= asked.of(effect, None, mapped=True)
            acts.append(_Act(effect, Scope(made, base)))
        scopes = [act.scope for act in acts]
        return self._judge(call, identity, acts, scopes, list(reasons), facts, True)

    def _judge(
        self,
        call: Call,
        identity: Identity,
        acts: Sequence[_Act],
        scopes: Sequence[Scope],
        reasons: list[Reason],
        facts: Facts,
        mapped: bool,
    ) -> Assessment:
        """Puts gates, preconditions, chains and budgets to what a call does."""
        in_force = facts.in_force
        reasons += self._frozen(facts)
        kinds = [act.effect.kind for act in acts]
        for gate in self._gates.of(call.name, kinds or ("",)):
            answer = gate.judge(scopes)
            if answer is not None:
                reasons.append(_raised(answer, gate, in_force))
                reasons += _raised_in_shadow(reasons[-1], gate, facts.in_shadow)
        for act in acts:
            for require in self._requires_of(act.effect.kind):
                stated = self._evidence[require.name]
                missing = require.judge(act.effect, act.scope, facts, *stated)
                if missing is not None:
                    reasons.append(missing)
        for found, shadow in ((in_force, self._echoes), (facts.in_shadow, True)):
            for pattern, verdict, why, signal in found.holds:
                if any(fnmatchcase(kind, pattern) for kind in kinds or ("",)):
                    reasons.append(Reason(signal, why, verdict, shadow=shadow))
        advances = self._walk(call, acts, facts, reasons)
        charged = tuple(self._charge(act, identity, reasons, in_force.scales) for act in acts)
        per_call = [(act.effect, self._call_budgets(act)) for act in acts]
        states = assess_call([one for one in per_call if one[1]], reasons, in_force.scales)
        return Assessment(charged, tuple(reasons), mapped, states, advances)

    def _act(
        self,
        produced: Produced,
        at: Scope,
        identity: Identity,
        facts: Facts,
        asked: Acts | None,
    ) -> _Act:
        """Prices an effect by the data that it carries, and makes what gates see of it."""
        effect = produced.effect
        labels = effect.labels
        if self._sums_points and produced.source.points is None and effect.points:
            carried = (*labels, *facts.origin(produced.data).labels)
            factor = self._prices.factor(carried, identity.agent_trust)
            effect = replace(effect, points=effect.points * factor)
        is_new = (
            "effect.is_new" in self._spoken
            and effect.target is not None
            and facts.is_new(effect.kind, effect.target)
        )
        variables = effect_variables(effect, amount_known=produced.amount_known, is_new=is_new)
        if asked is not None:
            variables |= asked.of(effect, produced.aim, mapped=True)
        return _Act(effect, Scope(variables, at), produced, produced.data)

    def _walk(
        self, call: Call, acts: Sequence[_Act], facts: Facts, reasons: list[Reason]
    ) -> tuple[Advance, ...]:
        if not self._chains or not acts:
            return ()
        acting = [Acting(act.effect, act.scope, act.data, call.name) for act in acts]
        concerned = dict.fromkeys(
            chain for act in acts for chain in self._chains_of(act.effect.kind)
        )
        advances: list[Advance] = []
        for chain in concerned:
            matched, moved = chain.walk(acting, facts)
            reasons += matched
            advances += moved
        return tuple(advances)

    def _charge(
        self, act: _Act, identity: Identity, reasons: list[Reason], scales: Mapping[str, Decimal]
    ) -> ChargedEffect:
        effect, produced = act.effect, act.produced
        budgets: Sequence[Budget]
        if produced is not None:
            budgets, counted = produced.source.budgets, produced.source.units_counted
        else:
            covering = self._naming(effect.kind)
            budgets = [budget for budget in covering if budget.per != "call"]
            counted = UnitsCounted(covering)
        charges: list[Charge] = []
        for budget in budgets:
            charges.extend(budget.charges(effect, identity, scales.get(budget.name)))
        for budget in (*budgets, *self._call_budgets(act)):
            if produced is None or (
                budget.measure is Measure.SUM
                and budget.unit != "points"
                and not produced.amount_known
            ):
                continue  # that the amount could not be read is said already
            fault = budget.fault(effect, counted)
            if fault is not None:
                reasons.append(replace(produced.source.hold(fault), shadow=budget.shadow))
        return ChargedEffect(effect, tuple(charges))

    def _call_budgets(self, act: _Act) -> tuple[Budget, ...]:
        if act.produced is not None:
            return act.produced.source.call_budgets
        return tuple(b for b in self._naming(act.effect.kind) if b.per == "call")

    def _covering(self, kind: str) -> list[Budget]:
        return [budget for budget in self._budgets if budget.covers(kind)]

    def _naming(self, kind: str) -> list[Budget]:
        """Budgets of a model request: one over everything is about what tools do."""
        return [budget for budget in self._budgets if budget.names(kind)]

    def _seen(self, facts: Facts) -> Seen:
        """What the session has met, read only where some expression speaks of it."""
        return facts.seen if self._spoken & _ABOUT_THE_PAST else _UNSEEN

    def _concerned_chains(self, kind: str) -> tuple[Chain, ...]:
        return tuple(chain for chain in self._chains if chain.concerns(kind))

    def _concerned_requires(self, kind: str) -> tuple[Require, ...]:
        return tuple(require for require in self._requires if require.concerns(kind))

    # --- what the pipeline keeps of a session for these rules -------------------------------------

    def is_evidence(self, kind: str) -> bool:
        """Whether some precondition asks for results of effects of this kind."""
        kind = plain_kind(kind)
        return any(require.wants(kind) for require in self._requires)

    def entry_of(self, name: str) -> ToolEntry | None:
        """Returns the entry of a tool by its name."""
        return self._entries.of_name(name)

    def worth_of(self, tool: str, text: str) -> Applied:
        """Returns what the rules say of a tool's result: what is trusted, which labels it has."""
        if self._enforced is not None:
            return self._enforced.worth_of(tool, text)
        entry = self.entry_of(tool)
        if entry is not None and entry.returns is None and isinstance(entry.reader, GuessReader):
            return Applied(entry.reader.trusts(tool), ())
        if entry is None or entry.returns is None:
            return Applied(self.trusts_results, ())
        return entry.returns.apply(text)


@dataclass(frozen=True, slots=True)
class _Act:
    """One effect of the call, with the scope in which its conditions are asked."""

    effect: Effect
    scope: Scope
    produced: Produced | None = None
    data: Json = None


_UNSEEN = Seen()
_ABOUT_THE_PAST = frozenset(
    {"seen.kinds", "seen.tools", "seen.labels", "seen.untrusted", "seen.calls", "user.text"}
)


def _no_effect(asked: Acts | None, *, mapped: bool) -> Variables:
    return NO_EFFECT if asked is None else NO_EFFECT | asked.of(None, None, mapped=mapped)


def _rules(loaded: Loaded) -> Iterable[Gate | Budget | Chain | Require | Signal]:
    """What counts of a set with files in shadow; a signal of another file is in force without them."""
    yield from loaded.gates
    yield from loaded.budgets
    yield from loaded.chains
    yield from loaded.requires
    yield from (one for one in loaded.signals if file_in_shadow(one.site.document))


def _raised_in_shadow(answer: Reason, gate: Gate, in_shadow: InForce) -> Iterable[Reason]:
    """What a signal in shadow would have made of a gate's answer."""
    raised = _raised(answer, gate, in_shadow)
    if raised is not answer:
        yield replace(raised, shadow=True)


def _raised(answer: Reason, gate: Gate, in_force: InForce) -> Reason:
    """A gate that a signal has raised blocks where it held."""
    if gate.name not in in_force.raised or answer.verdict is Verdict.BLOCK:
        return answer
    why = in_force.because.get(f"gate:{gate.name}", "Raised by a signal.")
    return replace(answer, verdict=Verdict.BLOCK, text=f"{answer.text} {why}")
