"""The steps of a case: what the agent, its user, its tools, the operator and the clock do.

What belongs here: one class a step, with how it is carried out. How steps stand in a cases file is in
`step_reading.py`; a new step is a class here, and a reader and a line in `STEPS` there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from proxy.model import Call, Json, Trust, Verdict
from proxy.rehearsal.conversation import Conversation, Judged
from proxy.rehearsal.expecting import Expectation
from proxy.rehearsal.rehearsal import Rehearsal, RehearsalError
from proxy.rehearsal.written import json_text, shown, with_number

DEFAULT_SESSION = "session"
TRUSTS = tuple(trust.label for trust in Trust)
_WHO_KEYS = ("session", "agent", "human", "parent", "trust")


@dataclass(frozen=True, slots=True)
class Who:
    """Whose step it is; what is None is as in the case, or as the session was first named."""

    session: str | None = None
    agent: str | None = None
    human: str | None = None
    parent: str | None = None
    trust: str | None = None

    def numbered(self, number: int) -> Who:
        """Returns the same with `{n}` replaced: each repetition may be somebody else's."""
        return Who(
            session=with_number(self.session, number),
            agent=with_number(self.agent, number),
            human=with_number(self.human, number),
            parent=with_number(self.parent, number),
            trust=self.trust,
        )


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a step: the calls it made, each with what is not as expected."""

    calls: tuple[tuple[Judged, tuple[str, ...]], ...] = ()


NOTHING = Played()


@dataclass(slots=True)
class Stage:
    """One case while it is played."""

    rehearsal: Rehearsal
    who: Who
    made: dict[str, Judged] = field(default_factory=dict)  # calls by the ids that steps gave them
    last: Judged | None = None
    _known: dict[str, Who] = field(default_factory=dict)

    def conversation(self, who: Who) -> Conversation:
        """Returns the session that a step belongs to."""
        name = who.session or self.who.session or DEFAULT_SESSION
        base = self._known.get(name, self.who)
        merged = Who(name, *(getattr(who, k) or getattr(base, k) for k in _WHO_KEYS[1:]))
        if merged.parent == name:
            merged = Who(name, merged.agent, merged.human, None, merged.trust)
        self._known[name] = merged
        trust = Trust[(merged.trust or "credential").upper().replace("-", "_")]
        return self.rehearsal.session(
            name,
            agent=merged.agent or "agent",
            human=merged.human,
            parent=merged.parent,
            trust=trust,
        )

    def note(self, judged: Judged, id_: str | None = None) -> None:
        self.last = judged
        if id_ is not None:
            self.made[id_] = judged
        if judged.call.id is not None:
            self.made.setdefault(judged.call.id, judged)

    def call_named(self, of: str | None) -> Judged:
        """Returns the call with an id, the last one where none is named.

        Raises:
            RehearsalError: there is none.
        """
        found = self.last if of in (None, "last") else self.made.get(of or "")
        if found is None:
            named = "" if of in (None, "last") else f" with the id '{of}'"
            raise RehearsalError(f"no call{named} was made before this step")
        return found


class Step(Protocol):
    """One step of a case."""

    @property
    def place(self) -> tuple[int, int]:
        """Line and column in the cases file."""

    @property
    def title(self) -> str:
        """What the step is, in a line."""

    def play(self, stage: Stage) -> Played:
        """Carries it out.

        Raises:
            RehearsalError: it makes no sense where it stands.
        """


@dataclass(frozen=True, slots=True)
class Say:
    """`user: TEXT`, `system: TEXT`."""

    place: tuple[int, int]
    who: Who
    speaker: str
    text: str

    @property
    def title(self) -> str:
        return f"{self.speaker} {shown(self.text)}"

    def play(self, stage: Stage) -> Played:
        conversation = stage.conversation(self.who)
        (conversation.user if self.speaker == "user" else conversation.system)(self.text)
        return NOTHING


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answered."""

    text: str
    is_error: bool = False
    certain: bool = True


@dataclass(frozen=True, slots=True)
class CallStep:
    """`call: TOOL` with `args`, or `call: again`."""

    place: tuple[int, int]
    who: Who
    name: str
    arguments: Json
    id: str | None
    server: str | None
    confidence: Decimal | None
    times: int
    expect: Expectation
    answer: Answer | None

    @property
    def title(self) -> str:
        if self.name == "again":
            return "call again"
        return f"call {self.name} {shown(json_text(self.arguments))}"

    def play(self, stage: Stage) -> Played:
        made: list[tuple[Judged, tuple[str, ...]]] = []
        for number in range(1, self.times + 1):
            judged = self._make(stage, number)
            stage.note(judged, self.id)
            differences = tuple(self.expect.differences(judged))
            if differences and self.times > 1:
                differences = (f"in repetition {number} of {self.times}:", *differences)
            made.append((judged, differences))
            if differences:
                break
            if self.answer is not None and judged.verdict is Verdict.ALLOW:
                _answer(judged, self.answer)
        return Played(tuple(made))

    def _make(self, stage: Stage, number: int) -> Judged:
        if self.name == "again":
            before = stage.call_named(None)
            return before.conversation.again(before)
        arguments, who = self.arguments, self.who
        if self.times > 1:
            arguments, who = with_number(arguments, number), who.numbered(number)
        return stage.conversation(who).call(
            self.name,
            arguments,
            call_id=self.id if self.times == 1 else None,
            server=self.server,
            confidence=self.confidence,
        )


@dataclass(frozen=True, slots=True)
class Together:
    """`calls: [...]`: several calls in one response of the model."""

    place: tuple[int, int]
    who: Who
    steps: tuple[CallStep, ...]

    @property
    def title(self) -> str:
        return f"calls {', '.join(step.name for step in self.steps)}"

    def play(self, stage: Stage) -> Played:
        conversation = stage.conversation(self.who)
        calls: list[Call] = [
            conversation.make_call(step.name, step.arguments, step.id, step.server, step.confidence)
            for step in self.steps
        ]
        judged = conversation.calls(calls)
        made: list[tuple[Judged, tuple[str, ...]]] = []
        for step, one in zip(self.steps, judged, strict=True):
            stage.note(one, step.id)
            found = step.expect.differences(one)
            made.append((one, tuple(f"{step.title}: {text}" for text in found)))
        for step, one in zip(self.steps, judged, strict=True):
            if step.answer is not None and one.verdict is Verdict.ALLOW:
                _answer(one, step.answer)
        return Played(tuple(made))


@dataclass(frozen=True, slots=True)
class HttpStep:
    """`http: {method, host, path}`: a request to a tool API."""

    place: tuple[int, int]
    who: Who
    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    id: str | None
    expect: Expectation
    answer: Answer | None

    @property
    def title(self) -> str:
        body = "" if self.body is None else f" {shown(json_text(self.body))}"
        return f"http {self.method} {self.host}{self.path}{body}"

    def play(self, stage: Stage) -> Played:
        judged = stage.conversation(self.who).http(
            self.method,
            self.host,
            self.path,
            query=self.query,
            headers=self.headers,
            body=self.body,
        )
        stage.note(judged, self.id)
        differences = tuple(self.expect.differences(judged))
        if self.answer is not None and not differences and judged.verdict is Verdict.ALLOW:
            _answer(judged, self.answer)
        return Played(((judged, differences),))


@dataclass(frozen=True, slots=True)
class ResultStep:
    """`result: …`: what the call before, or the one named by `of`, has brought."""

    place: tuple[int, int]
    of: str | None
    answer: Answer

    @property
    def title(self) -> str:
        return f"result {shown(self.answer.text)}"

    def play(self, stage: Stage) -> Played:
        judged = stage.call_named(self.of)
        if judged.verdict is not Verdict.ALLOW:
            text = f"the call {judged.call.name} was not let through: it has no result"
            raise RehearsalError(text)
        _answer(judged, self.answer)
        return NOTHING


@dataclass(frozen=True, slots=True)
class HumanStep:
    """`approve: last` or the id of a held call; `deny` likewise."""

    place: tuple[int, int]
    says_yes: bool
    of: str
    reason: str | None

    @property
    def title(self) -> str:
        return f"{'approve' if self.says_yes else 'deny'} {self.of}"

    def play(self, stage: Stage) -> Played:
        hold = None
        if self.of != "last":
            hold = stage.call_named(self.of).decision.hold
            if hold is None:
                raise RehearsalError(f"the call '{self.of}' is not held")
        answer = stage.rehearsal.approve if self.says_yes else stage.rehearsal.deny
        answer(hold, reason=self.reason)
        return NOTHING


@dataclass(frozen=True, slots=True)
class Wait:
    """`wait: 25h`."""

    place: tuple[int, int]
    duration_s: Decimal

    @property
    def title(self) -> str:
        return f"wait {self.duration_s:f}s"

    def play(self, stage: Stage) -> Played:
        stage.rehearsal.wait(self.duration_s)
        return NOTHING


@dataclass(frozen=True, slots=True)
class FreezeStep:
    """`freeze: SESSION`, `thaw: SESSION`: the operator stops a session, and lets it go on."""

    place: tuple[int, int]
    stops: bool
    session: str | None
    reason: str | None

    @property
    def title(self) -> str:
        return f"{'freeze' if self.stops else 'thaw'} {self.session or 'the session'}"

    def play(self, stage: Stage) -> Played:
        session = self.session or stage.who.session or DEFAULT_SESSION
        act = stage.rehearsal.freeze if self.stops else stage.rehearsal.thaw
        act(session, reason=self.reason)
        return NOTHING


@dataclass(frozen=True, slots=True)
class SignalStep:
    """`signal: NAME`: another system tells something."""

    place: tuple[int, int]
    name: str
    fields: Mapping[str, Json]

    @property
    def title(self) -> str:
        return f"signal {self.name}"

    def play(self, stage: Stage) -> Played:
        stage.rehearsal.post_signal(self.name, **self.fields)
        return NOTHING


def _answer(judged: Judged, answer: Answer) -> None:
    judged.conversation.result(
        judged, answer.text, is_error=answer.is_error, certain=answer.certain
    )
