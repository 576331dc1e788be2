"""A decision log judged again: its calls, settlements, human answers and signals, in its own order and time.

How it works. All sessions of a log shared one ledger, so they do again. Each call is made from its record, under
the digest of its arguments as they were; what a settlement says of amounts and of success is taken over,
what a human answered is answered to the same call where it is held again, and what was posted, changed or frozen is so
again. Nothing falls due by the clock: what did is in the log. What a decision asked of texts is answered by its
record (`recall.py`); where that does not say, the verdict is not certain, and the outcome says why.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation

from proxy.canonical import digest
from proxy.errors import HoldError
from proxy.holds import HoldEvent, transition
from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit
from proxy.model import (
    Call,
    Effect,
    EntryState,
    HoldState,
    HttpCall,
    Identity,
    Json,
    Reason,
    Reversibility,
    Settlement,
    Side,
    ToolResult,
    Trust,
    Verdict,
)
from proxy.pipeline.judge import call_key
from proxy.pipeline.records import grant_from
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.conversation import Conversation, Judged
from proxy.rehearsal.logged_signals import replay_signal, replay_standing
from proxy.rehearsal.recall import Recorded
from proxy.rehearsal.recorded import RecordingError
from proxy.rehearsal.rehearsal import Rehearsal
from proxy.rehearsal.sessions import CallOutcome, SessionOutcome

type _Name = tuple[str, str, str]  # session, tool, digest of the arguments

_TRUST = {trust.label: trust for trust in Trust}
_VERDICTS = {verdict.label: verdict for verdict in Verdict}
_MODEL_REQUEST = "model_request"
_FAULTS = (KeyError, TypeError, ValueError, AttributeError, InvalidOperation)
"""What a record that lacks something makes of the code that reads it."""
_FOREVER_S = 100 * 366 * 86_400.0
_MOST_KEPT = 20_000
"""Of calls that wait for an answer, of sessions that have a parent: the oldest make room."""


def rehearse_log(
    rules: RuleSet, records: Iterable[tuple[str, Mapping[str, Json]]]
) -> list[SessionOutcome]:
    """Returns what the rules say to each session of a log, in the order of their first calls.

    Args:
        rules: the rule set.
        records: (where, record) of each line, oldest first.

    Raises:
        RecordingError: a record does not have what its type has.
    """
    made: dict[str, list[CallOutcome]] = {}
    for session, outcome in rehearse_records(rules, records):
        made.setdefault(session, []).append(outcome)
    return [SessionOutcome(session, tuple(calls)) for session, calls in made.items()]


def rehearse_records(
    rules: RuleSet, records: Iterable[tuple[str, Mapping[str, Json]]]
) -> Iterator[tuple[str, CallOutcome]]:
    """Yields (session, outcome) of each call of a log, in the log's order; memory does not grow with it.

    Raises:
        RecordingError: a record does not have what its type has.
    """
    with Rehearsal(rules, spills=True) as rehearsal:
        replay = LogReplay(rehearsal)
        for where, record in records:
            outcome = replay.carry(where, record)
            if outcome is not None:
                yield record["session"], outcome
        replay.end()


@dataclass(frozen=True, slots=True)
class _Held:
    """A call that waits, here and in the log."""

    judged: Judged
    recorded: Recorded


class LogReplay:
    """One log on its way through the rules."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._settings = replace(
            rehearsal.settings, hold_expiry_s=_FOREVER_S, approval_expiry_s=_FOREVER_S
        )
        rehearsal.pipeline.run_as(self._settings)
        self._parents: OrderedDict[str, str] = OrderedDict()
        self._held: OrderedDict[str, _Held] = OrderedDict()  # by the log's name of the hold
        self._used: str | None = None
        self._numbers = 0
        self._beginning: str | None = None

    def carry(self, where: str, record: Mapping[str, Json]) -> CallOutcome | None:
        """Carries out one record; returns the outcome where it is a decision.

        Raises:
            RecordingError: it does not have what its type has.
        """
        try:
            return self.take(record)
        except _FAULTS as error:
            text = f"{where}: not a record of a decision log ({type(error).__name__})"
            raise RecordingError(text) from error

    def take(self, record: Mapping[str, Json]) -> CallOutcome | None:
        """Carries out one record; returns the outcome where it is a decision."""
        self._clock(record)
        kind = record["type"]
        decided = kind == "decision" and record["hold"] is not None
        self._use(but=record["hold"]["id"] if decided else None)
        if kind == "decision":
            return self._decision(record)
        if kind == "settlement":
            self._settlement(record)
        elif kind == "hold":
            self._hold(record)
        elif kind == "session":
            self._session(record)
        elif kind == "signal":
            replay_signal(self._rehearsal, record, self._who(record))
        elif kind == "grant":
            self._grant(record)
        elif kind == "rules":
            self._rules(record)
        return None

    def end(self) -> None:
        """The log is over."""
        self._use(but=None)

    def _clock(self, record: Mapping[str, Json]) -> None:
        """Sets the clock to a record's time; it never goes back."""
        now_ms = int(datetime.fromisoformat(record["time"]).timestamp() * 1000)
        if self._numbers == 0:
            self._rehearsal.now_ms = now_ms
            if record["seq"] > 1:
                begins = (
                    f"what was counted before record {record['seq']}, with which the log begins"
                )
                self._beginning = begins
        self._rehearsal.now_ms = max(self._rehearsal.now_ms, now_ms)
        self._numbers += 1

    def _rules(self, record: Mapping[str, Json]) -> None:
        """A run begins: its settings say what holds for its calls."""
        stated = record.get("settings")
        if isinstance(stated, dict):
            self._run_as(shadow=stated["shadow"] is True, settle_after_s=stated["settle_after_s"])

    def _run_as(self, *, shadow: bool, settle_after_s: float) -> None:
        run = replace(self._settings, shadow=shadow, settle_after_s=float(settle_after_s))
        if run != self._settings:
            self._settings = run
            self._rehearsal.pipeline.run_as(run)

    # --- calls ---------------------------------------------------------------------------------------
    def _decision(self, record: Mapping[str, Json]) -> CallOutcome:
        call = call_of(record)
        recorded = self._recorded(record, call)
        if recorded.would is not None and recorded.would is recorded.verdict:
            ran_shadow = call.executor != "provider" or self._settings.shadow
            self._run_as(shadow=ran_shadow, settle_after_s=self._settings.settle_after_s)
        identity = self._who(record)
        self._rehearsal.finish(self._rehearsal.pipeline.see_session(identity, "log"))
        who = Conversation(self._rehearsal, identity)
        key = call_key(identity, call, f"record-{self._numbers}")
        costs: Sequence[Effect] | None = None
        if call.kind.startswith(_MODEL_REQUEST):
            costs = [_effect(effect) for effect in record["effects"]]
            recorded.given = tuple(r for r in recorded.reasons if r.rule == _UNPRICED)
        self._rehearsal.recall.now = recorded
        judged = self._rehearsal.decide(who, call, key, _http_of(call), costs=costs)
        self._rehearsal.recall.now = None
        self._rehearsal.pending.clear()
        if judged.verdict is Verdict.HOLD and record["hold"] is not None:
            self._keep(self._held, record["hold"]["id"], _Held(judged, recorded))
        return _outcome(judged, recorded, shadow=self._settings.shadow)

    def _recorded(self, record: Mapping[str, Json], call: Call) -> Recorded:
        would = record["would"]
        made = Recorded(
            answers=record.get("asked") or {},
            arguments=call.arguments,
            verdict=_VERDICTS[record["verdict"]],
            would=None if would is None else _VERDICTS[would],
            reasons=tuple(map(_reason, record["reasons"])),
            same_rules=record["rules"] == self._rehearsal.rules.digest[:16],
            beginning=self._beginning,
        )
        if call.fault is None and not _is_whole(call):
            made.missing["its arguments, which are redacted or cut"] = None
        return made

    def _who(self, record: Mapping[str, Json]) -> Identity:
        session, trust = record.get("session"), record.get("trust") or {}
        return Identity(
            session=session if isinstance(session, str) else "",
            agent=str(record.get("agent") or ""),
            session_trust=_trust(trust.get("session")),
            agent_trust=_trust(trust.get("agent")),
            human=record.get("human"),
            parent=self._parents.get(str(session)),
        )

    # --- settlements -----------------------------------------------------------------------------------
    def _settlement(self, record: Mapping[str, Json]) -> None:
        stated = record["call"]
        effect = _effect(record["effects"][0])
        failed = record["state"] == "released"

        def settle(tx: Transaction, emit: Emit) -> str | None:
            entries = tx.entries_of_call(
                session=record["session"], call_id=stated["id"], args_sha256=stated["args_sha256"]
            )
            named = [e for e in entries if e.effect.kind == effect.kind]
            exact = [e for e in named if e.effect.target == effect.target]
            waiting = [e for e in exact or named if e.state is EntryState.RESERVED]
            if not waiting:
                return None  # it is held or blocked now: it has nothing to settle
            entry = waiting[0]
            amount = None if failed else effect.amount
            tx.settle(entry.id, Settlement(not failed, amount), self._rehearsal.now_ms)
            return entry.call_key

        pipeline = self._rehearsal.pipeline
        key = self._rehearsal.finish(pipeline.in_transaction(settle))
        if key is not None and record["by"] in ("result", "http-result"):
            self._observe(key, is_error=failed)

    def _observe(self, key: str, *, is_error: bool) -> None:
        """A result was there; what it said is not known."""
        pipeline, now_ms = self._rehearsal.pipeline, self._rehearsal.now_ms
        result = ToolResult(None, None, "", is_error)
        read = pipeline.reader.read_now("")

        def observe(tx: Transaction, emit: Emit) -> None:
            released = tx.released_call(key)
            if released is not None:
                pipeline.story.observed(
                    tx, pipeline.rules, released.family, released, result, read, now_ms
                )

        self._rehearsal.finish(pipeline.in_transaction(observe))

    # --- humans ----------------------------------------------------------------------------------------
    def _hold(self, record: Mapping[str, Json]) -> None:
        named = record["hold"]["id"]
        if record["event"] == "used":
            self._used = named
            return
        held = self._held.get(named)
        hold = held.judged.decision.hold if held is not None else None
        if hold is None:
            return
        try:
            if record["event"] == "approved":
                self._rehearsal.approve(hold, reason=record["reason"])
                return
            if record["event"] == "denied":
                self._rehearsal.deny(hold, reason=record["reason"])
            elif record["event"] == "abandoned":
                self._rehearsal.finish(self._rehearsal.pipeline.desk.abandon(hold.id))
            elif record["event"] == "expired":
                self._expire(hold.id)
            else:
                return
        except HoldError:
            return  # answered twice, or too late for this one
        self._held.pop(named, None)

    def _grant(self, record: Mapping[str, Json]) -> None:
        """What a human granted counts from here on, until they took it back."""
        if record["event"] not in ("granted", "revoked"):
            return  # which calls draw on it is found out again
        grant = grant_from(record)
        if record["event"] == "revoked":
            now_ms = self._rehearsal.now_ms
            grant = replace(grant, revoked_at_ms=now_ms, revoked_by=record["by"])
        pipeline = self._rehearsal.pipeline
        self._rehearsal.finish(pipeline.in_transaction(lambda tx, _emit: tx.put_grant(grant)))

    def _expire(self, hold_id: str) -> None:
        now_ms = self._rehearsal.now_ms

        def expire(tx: Transaction, emit: Emit) -> None:
            hold = tx.hold(hold_id)
            if hold is not None and hold.state in (HoldState.PENDING, HoldState.APPROVED):
                hold = replace(hold, expires_at_ms=now_ms)
                tx.put_hold(transition(hold, HoldEvent.EXPIRE, now_ms=now_ms))

        self._rehearsal.finish(self._rehearsal.pipeline.in_transaction(expire))

    def _use(self, *, but: str | None) -> None:
        """Lets a call that waited for its approval pass; not where a new call is what used it."""
        if self._used is None:
            return
        named, self._used = self._used, None
        held = self._held.pop(named, None)
        if named == but or held is None or held.judged.decision.hold is None:
            return
        judged = held.judged
        hold = self._rehearsal.finish(
            self._rehearsal.pipeline.desk.get(held.judged.decision.hold.id)
        )
        if hold.state is not HoldState.APPROVED:
            return
        # Nothing is logged of what was asked this time: it is what was asked when the call was held.
        self._rehearsal.recall.now = replace(held.recorded, verdict=Verdict.ALLOW, missing={})
        self._rehearsal.decide(judged.conversation, judged.call, judged.key, _http_of(judged.call))
        self._rehearsal.recall.now = None
        self._rehearsal.pending.clear()

    # --- sessions --------------------------------------------------------------------------------------
    def _session(self, record: Mapping[str, Json]) -> None:
        if record["event"] == "seen":
            if isinstance(record.get("parent"), str):
                self._keep(self._parents, record["session"], record["parent"])
            work = self._rehearsal.pipeline.see_session(self._who(record), "log")
            self._rehearsal.finish(work)
        else:
            replay_standing(self._rehearsal, record)

    @staticmethod
    def _keep[T](kept: OrderedDict[str, T], name: str, value: T) -> None:
        kept[name] = value
        if len(kept) > _MOST_KEPT:
            kept.popitem(last=False)


_UNPRICED = "model-price"
"""The reason that comes with a model request whose price is not known."""


def _outcome(judged: Judged, recorded: Recorded, *, shadow: bool) -> CallOutcome:
    """Returns an outcome; in a run that was all in shadow, a verdict is what it would have been."""
    decision = judged.decision
    told = (*decision.reasons, *decision.shadow_reasons) if shadow else decision.reasons
    if recorded.taken:
        told = recorded.reasons if shadow else tuple(r for r in recorded.reasons if not r.shadow)
    verdict, was = judged.verdict, recorded.verdict
    if shadow:
        verdict, was = decision.would or verdict, recorded.would or was
    return CallOutcome(
        judged.call.id,
        judged.call.name,
        verdict,
        tuple(reason for reason in told if reason.verdict > Verdict.ALLOW),
        was=was.label,
        was_reasons=tuple(
            reason
            for reason in recorded.reasons
            if reason.verdict > Verdict.ALLOW and (shadow or not reason.shadow)
        ),
        would=None if shadow else decision.would,
        shadow_reasons=()
        if shadow
        else tuple(r for r in decision.shadow_reasons if r.verdict > Verdict.ALLOW),
        unknown=tuple(recorded.missing),
    )


def call_of(record: Mapping[str, Json]) -> Call:
    stated = record["call"]
    confidence = stated.get("confidence")
    return Call(
        id=stated["id"],
        name=stated["name"],
        arguments=stated["args"],
        provider=record["provider"],
        args_sha256=stated["args_sha256"],
        side=Side(record["side"]),
        kind=stated["kind"],
        response_id=stated.get("response_id"),
        executor=stated["executor"],
        namespace=stated.get("namespace"),
        fault=stated.get("fault"),
        confidence=None if confidence is None else Decimal(str(confidence)),
    )


def _is_whole(call: Call) -> bool:
    """Whether the arguments are those that the digest is of."""
    try:
        return digest(call.arguments) == call.args_sha256
    except ValueError:
        return False


def _reason(stated: Mapping[str, Json]) -> Reason:
    return Reason(
        stated["rule"],
        stated["text"],
        _VERDICTS[stated["verdict"]],
        stated["file"],
        stated["line"],
        stated.get("mode") == "shadow",
    )


def _trust(label: Json) -> Trust:
    return _TRUST.get(str(label), Trust.CONTENT)


def _http_of(call: Call) -> HttpCall | None:
    """Returns the request that an HTTP call was: its name has method and host, its arguments the rest."""
    told = call.arguments
    if call.side is not Side.HTTP or call.kind != "http" or not isinstance(told, dict):
        return None
    method, _, place = call.name.partition(" ")
    query = told.get("query")
    return HttpCall(
        method,
        place.partition("/")[0],
        str(told.get("path", "/")),
        {str(k): str(v) for k, v in query.items()} if isinstance(query, dict) else {},
        (),
        told.get("body"),
    )


def _effect(stated: Mapping[str, Json]) -> Effect:
    amount = stated["amount"]
    return Effect(
        stated["kind"],
        Reversibility(stated["reversibility"]),
        None if amount is None else Decimal(str(amount)),
        stated["unit"],
        stated["target"],
        Decimal(str(stated["points"])),
    )


_Replay = LogReplay
