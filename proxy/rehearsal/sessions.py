"""Recorded sessions judged again: what the rules would have said to each call, in order.

How it works. Each session is played on a ledger of its own, so that sessions that have nothing to do with
each other share no budget, and the answer does not depend on how many are judged at once, or in which
order. Whoever knows that they belong together says so (`ledgers=Ledgers.ONE`): then agent and fleet budgets
add up over the file. A turn takes five seconds, since recordings have no times.

A call that would have been held or blocked counts as not having run: nothing of it is reserved and no chain
moves. The recording goes on as it happened all the same, and what the call had brought is observed as a text
of unknown tool's, whose values have an origin. With `approve`, a human says yes to what is held: it is told
as held, and then counts as run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from proxy.model import Call, Json, Reason, Speaker, Verdict
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.conversation import Conversation, Judged
from proxy.rehearsal.recorded import RecordedSession, Turn, read_session
from proxy.rehearsal.rehearsal import Rehearsal

TURN_S = 5
AGENT = "replay"


class Ledgers(StrEnum):
    """Which sessions share a ledger."""

    EACH = "each"  # none: every session has its own
    ONE = "one"  # all


@dataclass(frozen=True, slots=True)
class Manner:
    """How sessions are rehearsed."""

    ledgers: Ledgers = Ledgers.EACH
    agent: str = AGENT
    agent_field: str | None = None  # the field of a line that names its agent
    approve: bool = False  # a human says yes to all that is held
    enforced: bool = False  # as if nothing of the rules were in shadow


BY_ITSELF = Manner()
"""Each session by itself, nobody answers holds."""


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What was decided about one call."""

    id: str | None
    name: str
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    effects: tuple[Mapping[str, Json], ...] = ()  # as the decision log has them
    was: str | None = None  # the verdict that a log has recorded, or that other rules give
    turn: int = 0  # from 0: which answer of the model asked for it
    was_reasons: tuple[Reason, ...] = ()
    would: Verdict | None = None  # with rules in shadow, where that is another verdict
    shadow_reasons: tuple[Reason, ...] = ()  # of rules in shadow: they stop nothing
    unknown: tuple[str, ...] = ()  # what a log does not tell that the rules asked: not certain

    @property
    def changed(self) -> bool:
        return self.was is not None and self.was != self.verdict.label


@dataclass(frozen=True, slots=True)
class SessionOutcome:
    """What was decided about one session's calls, in call order."""

    session: str
    calls: tuple[CallOutcome, ...]

    @property
    def stopped(self) -> bool:
        """Whether any call was held or blocked."""
        return any(call.verdict > Verdict.ALLOW for call in self.calls)

    def as_json(self) -> dict[str, Json]:
        """Returns the line that `rules replay --json` prints."""
        return {"session": self.session, "calls": [_call_object(call) for call in self.calls]}


def rehearse_sessions(
    rules: RuleSet,
    sessions: Iterable[RecordedSession | Mapping[str, Json]],
    manner: Manner = BY_ITSELF,
) -> Generator[SessionOutcome]:
    """Yields what the rules say to each session, one after another, in this process.

    Args:
        rules: the rule set.
        sessions: as read by `read_session`, or the objects of their lines.
        manner: which ledgers, which agent.

    Raises:
        RecordingError: an object is no session.
    """
    shared = manner.ledgers is Ledgers.ONE
    with Rehearsal(rules, spills=shared) as rehearsal:
        for n, given in enumerate(sessions):
            session = (
                given
                if isinstance(given, RecordedSession)
                else read_session(given, f"session {n + 1}")
            )
            if n and not shared:
                rehearsal.reset()
            yield rehearse_session(rehearsal, session, manner)


def rehearse_session(
    rehearsal: Rehearsal,
    session: RecordedSession,
    manner: Manner = BY_ITSELF,
) -> SessionOutcome:
    """Plays one session on a rehearsal that is there."""
    agent = manner.agent
    if manner.agent_field is not None:
        agent = str(session.fields.get(manner.agent_field, manner.agent))
    conversation = rehearsal.session(session.id, agent=agent)
    conversation.tools = session.tools
    made: list[CallOutcome] = []
    closed: Reason | None = None
    for n, turn in enumerate(session.turns):
        rehearsal.wait(TURN_S)
        closed = closed or _observe(conversation, turn)
        if closed is not None:
            made += [_refused(call, closed, n) for call in turn.calls]
            continue
        made += [_outcome(judged, n) for judged in _judge(conversation, turn.calls, manner)]
    return SessionOutcome(session.id, tuple(made))


def _observe(conversation: Conversation, turn: Turn) -> Reason | None:
    """Takes in what a request brings; returns why the proxy would have refused it."""
    try:
        system = [text for speaker, text in turn.said if speaker is Speaker.SYSTEM]
        if system:  # together: each by itself would be a prompt that changes
            conversation.system(*system)
        for speaker, text in turn.said:
            if speaker is Speaker.USER:
                conversation.user(text)
        conversation.results(turn.results)
    except Exception as error:  # noqa: BLE001 - whatever it is, the proxy refuses the request
        text = f"checkrein could not read the request: {type(error).__name__}"
        return Reason("error", text, Verdict.BLOCK)
    return None


def _judge(conversation: Conversation, calls: Iterable[Call], manner: Manner) -> Iterator[Judged]:
    for judged in conversation.calls(list(calls)):
        yield judged
        if manner.approve and judged.verdict is Verdict.HOLD:
            conversation.approved(judged)


def _outcome(judged: Judged, turn: int) -> CallOutcome:
    return CallOutcome(
        judged.call.id,
        judged.call.name,
        judged.verdict,
        tuple(reason for reason in judged.reasons if reason.verdict > Verdict.ALLOW),
        judged.effects,
        turn=turn,
        would=judged.decision.would,
        shadow_reasons=tuple(
            reason for reason in judged.decision.shadow_reasons if reason.verdict > Verdict.ALLOW
        ),
    )


def _refused(call: Call, reason: Reason, turn: int) -> CallOutcome:
    return CallOutcome(call.id, call.name, Verdict.BLOCK, (reason,), turn=turn)


def _call_object(call: CallOutcome) -> dict[str, Json]:
    made: dict[str, Json] = {
        "id": call.id,
        "name": call.name,
        "verdict": call.verdict.label,
        "reasons": [{"rule": reason.rule, "text": reason.text} for reason in call.reasons],
    }
    if call.would is not None:
        made["would"] = call.would.label
    if call.was is not None:
        made["was"] = call.was
    if call.unknown:
        made |= {"certain": False, "unknown": list(call.unknown)}
    return made
