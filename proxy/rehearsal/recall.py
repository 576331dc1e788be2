"""What a decision log remembers of a session's past: a replay's answers where the log has no texts.

How it works. A decision's record has what its rules asked of texts (`pipeline/asked.py`). While that call is judged again,
the same questions get the same answers; everything that follows from calls alone (budgets, chains, holds, what is new) is
asked of the replay's own ledger, as ever. A question that the record does not answer is noted: then the verdict is
not certain. Under the rules that the record names, such a call gets the verdict that it had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from proxy.ledger.store import Reservation, Transaction
from proxy.ledger.writer import Emit, LedgerWriter
from proxy.model import Grant, Identity, Json, Origin, Reason, Side, Source, Verdict
from proxy.pipeline.asked import name_of, origin_from, sources_from
from proxy.pipeline.core import Pipeline
from proxy.pipeline.decision import Decision
from proxy.pipeline.judge import Asked, Judge, RulesInForce
from proxy.pipeline.reading import Reader
from proxy.pipeline.results import Results
from proxy.pipeline.story import Story, StoryFacts, evidence_question
from proxy.policy.facts import NOTHING_IN_FORCE, Evidence, Hints, InForce, Seen
from proxy.policy.ruleset import Assessment, RuleSet
from proxy.redact import redact_text
from proxy.settings import Settings

if TYPE_CHECKING:
    from proxy.pipeline.judge import _Case


@dataclass(slots=True)
class Recorded:
    """What a log says of the call that is judged."""

    answers: Mapping[str, Json]  # `asked`
    arguments: Json
    verdict: Verdict
    would: Verdict | None = None
    reasons: tuple[Reason, ...] = ()
    given: tuple[Reason, ...] = ()  # reasons that did not come from rules: a model without a price
    same_rules: bool = False  # it was judged by the very rules that judge it now
    missing: dict[str, None] = field(default_factory=dict)  # what the log does not tell, in words
    beginning: str | None = None  # why even what was counted before may not be known
    taken: bool = False  # the recorded verdict was taken

    @property
    def is_certain(self) -> bool:
        return not self.missing


class Recall:
    """Which record is judged now; None: nothing is recalled."""

    def __init__(self) -> None:
        self.now: Recorded | None = None


class RecalledFacts(StoryFacts):
    """A past as far as a record knows it, else as the replay's ledger has it."""

    recorded: Recorded
    labels_matter: bool = True

    def _miss(self, text: str) -> None:
        self.recorded.missing[text] = None

    @property
    def seen(self) -> Seen:
        if self._seen is None:
            found = super().seen
            labels = self.recorded.answers.get("labels")
            if labels is None and self.labels_matter:
                self._miss("which labels results had")
            untrusted = self.recorded.answers.get("untrusted")
            self._seen = replace(
                found,
                labels=tuple(labels or ()),
                untrusted=found.untrusted if untrusted is None else untrusted is True,
            )
        return self._seen

    def whole_origin(self, value: Json) -> Origin:
        if repr(value) in self._origins:
            return self._origins[repr(value)]
        name = name_of(value, self.recorded.arguments)
        stated = self.recorded.answers.get(f"origin:{name}")
        if stated is None:
            self._miss(f"where {name if name.startswith('args') else 'a value'} came from")
            return super().whole_origin(value)
        self._origins[repr(value)] = origin_from(stated)
        return self._origins[repr(value)]

    def whole_trailing(self, tool: str, data: Json) -> Sequence[Source]:
        name = f"trailing:{name_of(data, self.recorded.arguments)}"
        return list(sources_from(self.recorded.answers.get(name) or ()))

    def shown(self, arguments: Json) -> Json:
        return arguments  # what the log has is what may be shown

    def result_of_ms(self, kind: str) -> int:
        stated = self.recorded.answers.get(f"result:{kind}")
        return int(stated) if stated is not None else super().result_of_ms(kind)

    def label_ms(self, label: str) -> int:
        labels = self.recorded.answers.get("labels") or {}
        return int(labels.get(label, 0))

    def evidence(self, kinds: Sequence[str], target: str | None) -> Evidence | None:
        question = evidence_question(kinds, target)
        if question not in self.recorded.answers:
            return super().evidence(kinds, target)
        found = self.recorded.answers[question]
        if found is None:
            return None
        return Evidence(
            found["kind"],
            target,
            found["tool"],
            Side(found["side"]),
            found["is_error"] is True,
            "",
            None,
            int(found["at_ms"]),
        )

    def hints(self, server: str, tool: str) -> Hints:
        found = self.recorded.answers.get(redact_text(f"hints:{server}/{tool}"))
        if found is None:
            self._miss(f"what the server says of {tool}")
            return Hints()
        return Hints(*found)

    def told(self, question: str, answer: Callable[[], Json]) -> Json:
        answers = self.recorded.answers
        if question in answers and (self.recorded.same_rules or "from:" not in question):
            return answers[question]
        if "from:" not in question:
            self._miss("what the user and results said")
            return answer()
        # Where values came from is known one by one: so also for conditions that are new.
        before = dict(self.recorded.missing)
        found = answer()
        if question in answers and self.recorded.missing != before:
            self.recorded.missing = before
            return answers[question]
        return found

    def reads_unlogged(self, text: str) -> None:
        self._miss(f"what '{text}' reads")


class RecallingStory(Story):
    """Opens the past as a record has it, where one is recalled."""

    def __init__(self, reader: Reader, recall: Recall, in_force: RulesInForce) -> None:
        super().__init__(reader)
        self._recall = recall
        self._in_force = in_force

    def facts(
        self,
        tx: Transaction,
        identity: Identity,
        now_ms: int,
        in_force: InForce = NOTHING_IN_FORCE,
    ) -> StoryFacts:
        recorded = self._recall.now
        if recorded is None:
            return super().facts(tx, identity, now_ms, in_force)
        family = (identity.session, *identity.ancestors)[-1]
        made = RecalledFacts(tx, identity, family, self._reader.printer, now_ms, in_force)
        made.recorded = recorded
        made.labels_matter = _reads_labels(self._in_force.rules)
        return made


@lru_cache(8)
def _reads_labels(rules: RuleSet) -> bool:
    """Whether rules ask for a session's labels other than by `act.*`, which has a question of its own."""
    if not _ABOUT_LABELS.isdisjoint(rules._spoken):
        return True
    if any(step.labels for chain in rules._chains for step in chain.steps):
        return True
    return rules._enforced is not None and _reads_labels(rules._enforced)


_ABOUT_LABELS = frozenset({"seen.labels", "seen.untrusted"})


class _DiffersError(Exception):
    """A verdict that is not certain, and not what the very same rules have said."""


class RecallingJudge(Judge):
    """Judges as its parent does; under the same rules, doubt is resolved by the record."""

    def __init__(
        self,
        in_force: RulesInForce,
        writer: LedgerWriter,
        settings: Settings,
        story: Story,
        now_ms: Callable[[], int],
        recall: Recall,
    ) -> None:
        super().__init__(in_force, writer, settings, story, now_ms)
        self._recall = recall

    def run_as(self, settings: Settings) -> None:
        """Takes the settings of the run that was recorded."""
        self._settings = settings

    async def decide(self, asked: Asked) -> Decision:
        recorded = self._recall.now
        if recorded is None or not recorded.same_rules:
            return await super().decide(asked)

        def judge(tx: Transaction, emit: Emit) -> Decision:
            decision = self.decide_in(asked, tx, emit)
            differs = (decision.verdict, decision.would) != (recorded.verdict, recorded.would)
            if differs and recorded.beginning is not None:
                recorded.missing[recorded.beginning] = None
            if differs and not recorded.is_certain:
                raise _DiffersError
            return decision

        try:
            return await self._writer.run(judge)
        except _DiffersError:
            recorded.taken = True
        return await super().decide(asked)

    def _in_mode(self, assessment: Assessment, granted: Sequence[Grant]) -> Assessment:
        recorded = self._recall.now
        if recorded is None or not recorded.taken:
            return super()._in_mode(assessment, granted)
        reasons = recorded.reasons
        if recorded.verdict is Verdict.ALLOW:  # a human may have passed what held
            reasons = tuple(r for r in reasons if r.shadow or r.verdict is Verdict.ALLOW)
        return replace(assessment, reasons=reasons, call_states=())

    def _reserve(
        self,
        case: _Case,
        tx: Transaction,
        now_ms: int,
        *,
        approved: bool = False,
        unlimited: bool = False,
        dry: bool = False,
    ) -> Reservation:
        recorded = self._recall.now
        if recorded is not None and recorded.taken and recorded.verdict is Verdict.ALLOW:
            unlimited = True
        return super()._reserve(case, tx, now_ms, approved=approved, unlimited=unlimited, dry=dry)


class RecallingPipeline(Pipeline):
    """The proxy's pipeline, with a past that can be recalled from a log."""

    def __init__(
        self,
        rules: RuleSet,
        writer: LedgerWriter,
        settings: Settings,
        now_ms: Callable[[], int],
        recall: Recall,
    ) -> None:
        super().__init__(rules, writer, settings, now_ms)
        self.story = RecallingStory(self.reader, recall, self)
        self.recalling = RecallingJudge(self, writer, settings, self.story, now_ms, recall)
        self.judge = self.recalling
        self.results = Results(self, writer, self.story, self.reader, now_ms)

    def run_as(self, settings: Settings) -> None:
        """Takes the settings of a run that was recorded."""
        self.settings = settings
        self.recalling.run_as(settings)
        self.desk.run_as(settings)
