"""A scene explained: the call judged once and looked into, then as often as it takes to find what would have allowed it.

What belongs here: putting the findings of all rooms together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from proxy.explain.conditions import what_would_turn
from proxy.explain.findings import (
    Asked,
    Came,
    ChainFound,
    EffectFound,
    Explanation,
    LogSays,
    Place,
    RequireFound,
    RuleFound,
)
from proxy.explain.listening import Hearing
from proxy.explain.looking import Looking, budgets_found, reasons_found, signals_found
from proxy.explain.parts import State
from proxy.explain.scene import Scene
from proxy.explain.shown import Shown
from proxy.explain.trial import Outcome, Trials
from proxy.explain.unknown_tool import Texts, entry_for
from proxy.explain.way import Way
from proxy.explain.ways import Search
from proxy.model import HoldState, Json, Verdict
from proxy.policy.facts import NOTHING_IN_FORCE

_NEVER = ("unreadable-arguments", "unreadable-graphql", "ambiguous-path", "error", "frozen")
"""Reasons that no other value of an argument can be meant to clear."""
_DAY_MS = 86_400_000


def explain(scene: Scene, texts: Texts) -> Explanation:
    """Explains the call that a scene has come to.

    Args:
        scene: the moment before the call.
        texts: the rule files' names and texts, to try an entry more.
    """
    trials = Trials(scene.rehearsal, scene.rules)
    explanation, search = trials.judge(scene.asking, lambda outcome: _look(scene, outcome, trials))
    if explanation.verdict is Verdict.ALLOW:
        return explanation
    ways = list(_ways(explanation, search, scene, texts))
    together = search.all_at_once() if len(search.stopping) > 1 else None
    return _with_ways(explanation, ways, together, trials.count)


def _with_ways(
    explanation: Explanation, ways: Sequence[Way], together: Way | None, searched: int
) -> Explanation:
    fields = {name: getattr(explanation, name) for name in Explanation.__slots__}
    fields |= {"ways": tuple(ways), "all_at_once": together, "searched": searched}
    return Explanation(**fields)


def _look(scene: Scene, outcome: Outcome, trials: Trials) -> tuple[Explanation, Search]:
    hearings = scene.rules.hearings
    decision, asking = outcome.decision, scene.asking
    masking = next((h.facts for h in hearings if h.facts is not None), None)
    shown = Shown(masking if hasattr(masking, "shown") else None)  # type: ignore[arg-type]
    reasons = (*decision.reasons, *decision.shadow_reasons)
    effects: list[EffectFound] = []
    gates: dict[str, RuleFound] = {}
    requires: dict[tuple[str, str | None], RequireFound] = {}
    chains: dict[tuple[str, tuple[str, ...]], ChainFound] = {}
    others: dict[str, None] = {}
    for heard in hearings:
        looking = Looking(heard, reasons, shown)
        if not heard.shadow or not effects:
            effects = list(looking.effects())
        for gate in looking.gates():
            gates.setdefault(gate.name, gate)
        for require in looking.requires():
            requires.setdefault((require.name, require.target), require)
        for chain in looking.chains():
            chains.setdefault((chain.name, tuple(s.via for s in chain.steps)), chain)
        others |= dict.fromkeys(looking.not_asked())
    in_force = next((h.facts.in_force for h in hearings if h.facts is not None), NOTHING_IN_FORCE)
    budgets = tuple(budgets_found(outcome, scene.rules.loaded.budgets, in_force))
    told = frozenset(
        (*gates, *(r.name for r in requires.values()), *(c.name for c in chains.values()))
    ) | {b.name for b in budgets}
    entry, place = _entry(hearings)
    hold = decision.hold
    explanation = Explanation(
        name=asking.call.name,
        arguments=shown.value(asking.call.arguments),
        session=asking.identity.session,
        agent=asking.identity.agent,
        at_ms=scene.rehearsal.now_ms,
        verdict=decision.verdict,
        would=decision.would,
        where=scene.where,
        entry=entry,
        entry_place=place,
        reasons=tuple(reasons_found(reasons, told, shown)),
        effects=tuple(effects),
        gates=tuple(gates.values()),
        others=tuple(name for name in others if name not in gates),
        requires=tuple(requires.values()),
        chains=tuple(chains.values()),
        budgets=budgets,
        signals=tuple(shown.text(text) for text in signals_found(in_force)),
        stopping=tuple(
            (r.rule, shown.text(r.text)) for r in decision.reasons if r.verdict > Verdict.ALLOW
        ),
        approved=hold.id if hold is not None and hold.state is HoldState.USED else "",
        log=_log(scene, outcome),
        notes=tuple(_notes(scene, outcome)),
    )
    return explanation, Search(asking, outcome, hearings, trials, scene.rules, shown)


def _entry(hearings: Sequence[Hearing]) -> tuple[str, Place | None]:
    for heard in hearings:
        for found in heard.found:
            problem = found.tool.site.document.problem(found.tool.site.path, "")
            return found.tool.label, Place(problem.file, problem.line, problem.col)
    return "", None


def _notes(scene: Scene, outcome: Outcome) -> Iterator[str]:
    if scene.unrouted:
        yield "no route names this request: the proxy lets it pass unjudged, and no rule is asked"
    bound = outcome.decision.bound
    if bound is not None:
        yield f"it is the other side of the model's call {bound.name}, which counts it already"
    if outcome.decision.drift is not None:
        yield "the model's call that it comes from was let through with other arguments (drift)"
    if scene.asking.call.executor == "provider":
        yield "the provider has run it already: it is counted, and cannot be stopped"


# --- the log's word ------------------------------------------------------------------------------------------
def _log(scene: Scene, outcome: Outcome) -> LogSays | None:
    logged = scene.logged
    if logged is None:
        return None
    record = logged.record
    was = str(record.get("would") or record.get("verdict"))
    now = (outcome.decision.would or outcome.verdict).label
    digest = str(record.get("rules") or "")
    same = bool(digest) and scene.rules.digest.startswith(digest)
    listed = [reason for reason in record.get("reasons") or () if isinstance(reason, dict)]
    notes = list(_not_in_log(record, scene, same_rules=same))
    return LogSays(
        seq=int(record.get("seq") or 0),
        verdict=was,
        rules=digest,
        today=now,
        same_rules=same,
        reasons=tuple(str(reason.get("rule")) for reason in listed),
        notes=tuple(notes),
    )


def _not_in_log(record: Mapping[str, Json], scene: Scene, *, same_rules: bool) -> Iterator[str]:
    logged = scene.logged
    if logged is not None and logged.alone:
        yield "the records before it were not given: no budget is used, and no chain has begun"
    if not same_rules:
        yield "a log has no texts: what other rules ask of users' words, prompts and results is unknown"
    call = record.get("call")
    if isinstance(call, dict) and (
        "[redacted:" in str(call.get("args")) or "[cut:" in str(call.get("args"))
    ):
        yield "arguments were redacted or cut in the log: what reads them may come out otherwise"


# --- what would have allowed it --------------------------------------------------------------------------------
def _ways(explanation: Explanation, search: Search, scene: Scene, texts: Texts) -> Iterator[Way]:
    for rule in search.stopping:
        if rule == "unmapped":
            entry = entry_for(scene.asking, texts, search.trials)
            if entry is not None:
                yield entry
            continue
        if rule in _NEVER:
            continue
        found = [*search.of_arguments(rule), *search.of_waiting(rule)]
        found += [*search.of_limits(rule), *search.of_earlier_calls(rule)]
        yield from found
        if not any(way.kind == "argument" for way in found):
            yield from _conditions(rule, explanation)


def _conditions(rule: str, explanation: Explanation) -> Iterator[Way]:
    """Yields which parts of a rule's condition would have to be otherwise."""
    for gate in explanation.gates:
        if gate.name == rule and gate.expressions:
            yield from _condition(rule, gate.expressions[0], gate.came)
    for effect in explanation.effects:
        for fault in effect.faults:
            yield Way("condition", f"the call has to say it: {fault}", rule, tried=False)


def _condition(rule: str, asked: Asked, came: Came) -> Iterator[Way]:
    if came is Came.FAULT:
        missing = [part for part in asked.parts if part.state is State.FAULT]
        if missing:
            text = f"{missing[0].text} has no value: {missing[0].fault}"
            yield Way("condition", text, rule, tried=False)
        return
    turned = what_would_turn(asked.text, asked.parts)
    if turned is not None:
        yield Way("condition", str(turned), rule, tried=False)
