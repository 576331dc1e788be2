"""A decision log judged again: its calls, settlements and human answers, in its own order and time.

How it works. All sessions of a log shared one ledger, so they do again. Each call is made from its record, under
the digest of its arguments as they were; what a settlement says of amounts and of success is taken over,
and what a human answered is answered to the same call, where it is held again.

What a log does not hold cannot be judged again: the texts of users and of results (so nothing has an origin or a
label, and evidence is known to exist but not what it says), headers, and what was redacted or cut in the
arguments. A rule that reads those may decide otherwise than it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation

from proxy.errors import HoldError
from proxy.model import (
    Call,
    Effect,
    HoldState,
    HttpCall,
    Json,
    Reversibility,
    Side,
    ToolResult,
    Trust,
    Verdict,
)
from proxy.pipeline.judge import call_key
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.conversation import Conversation, Judged
from proxy.rehearsal.recorded import RecordingError
from proxy.rehearsal.rehearsal import Rehearsal
from proxy.rehearsal.sessions import CallOutcome, SessionOutcome

type _Name = tuple[str, str, str]  # session, tool, digest of the arguments

_TRUST = {trust.label: trust for trust in Trust}
_MODEL_REQUEST = "model_request"


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
    with Rehearsal(rules, spills=True) as rehearsal:
        replay = _Replay(rehearsal)
        for where, record in records:
            try:
                replay.take(record)
            except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
                text = f"{where}: not a record of a decision log ({type(error).__name__})"
                raise RecordingError(text) from error
        replay.end()
        return [SessionOutcome(name, tuple(calls)) for name, calls in replay.outcomes.items()]


class _Replay:
    """One log on its way through the rules."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.outcomes: dict[str, list[CallOutcome]] = {}
        self._rehearsal = rehearsal
        self._parents: dict[str, str] = {}
        self._calls: dict[_Name, list[Judged]] = {}  # that were let through and are not settled
        self._held: dict[_Name, Judged] = {}
        self._used: tuple[str, _Name] | None = None
        self._numbers = 0
        self._swept_ms = 0

    def take(self, record: Mapping[str, Json]) -> None:
        """Carries out one record."""
        self._clock(record)
        kind = record["type"]
        decided = kind == "decision" and record["hold"] is not None
        self._use(but=record["hold"]["id"] if decided else None)
        if kind == "session" and record["event"] == "seen":
            if isinstance(record.get("parent"), str):
                self._parents[record["session"]] = record["parent"]
        elif kind == "decision":
            self._decision(record)
        elif kind == "settlement":
            self._settlement(record)
        elif kind == "hold":
            self._hold(record)

    def end(self) -> None:
        """The log is over."""
        self._use(but=None)

    def _clock(self, record: Mapping[str, Json]) -> None:
        """Sets the clock to a record's time; what has fallen due since is swept, a second at a time."""
        now_ms = int(datetime.fromisoformat(record["time"]).timestamp() * 1000)
        self._rehearsal.now_ms = max(self._rehearsal.now_ms if self._numbers else 0, now_ms)
        self._numbers += 1
        if self._rehearsal.now_ms >= self._swept_ms + 1000:
            self._swept_ms = self._rehearsal.now_ms
            self._rehearsal.sweep()

    # --- calls ---------------------------------------------------------------------------------------
    def _decision(self, record: Mapping[str, Json]) -> None:
        who, stated = self._conversation(record), record["call"]
        call = Call(
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
        )
        key = call_key(who.identity, call, f"record-{self._numbers}")
        is_request = call.kind.startswith(_MODEL_REQUEST)
        costs = [_effect(effect) for effect in record["effects"]] if is_request else None
        judged = self._rehearsal.decide(who, call, key, _http_of(call), costs=costs)
        name = (who.identity.session, call.name, call.args_sha256)
        if judged.verdict is Verdict.ALLOW:
            self._calls.setdefault(name, []).append(judged)
        elif judged.verdict is Verdict.HOLD:
            self._held[name] = judged
        outcome = CallOutcome(
            call.id,
            call.name,
            judged.verdict,
            tuple(reason for reason in judged.reasons if reason.verdict > Verdict.ALLOW),
            judged.effects,
            was=record["would"] or record["verdict"],
        )
        self.outcomes.setdefault(who.identity.session, []).append(outcome)

    def _conversation(self, record: Mapping[str, Json]) -> Conversation:
        trust = record.get("trust") or {}
        return self._rehearsal.session(
            record["session"],
            agent=record["agent"],
            parent=self._parents.get(record["session"]),
            trust=_trust(trust.get("session")),
            agent_trust=_trust(trust.get("agent")),
        )

    # --- settlements -----------------------------------------------------------------------------------
    def _settlement(self, record: Mapping[str, Json]) -> None:
        stated = record["call"]
        waiting = self._calls.get((record["session"], stated["name"], stated["args_sha256"]), [])
        judged = next((j for j in waiting if stated["id"] in (None, j.call.id)), None)
        judged = judged or next(iter(waiting), None)
        if judged is None:
            return  # it is held or blocked now: it has nothing to settle
        failed = record["state"] == "released"
        amounts = {
            e["kind"]: Decimal(str(e["amount"]))
            for e in record["effects"]
            if e["amount"] is not None
        }
        results = self._rehearsal.pipeline.results
        self._rehearsal.finish(
            results.settle_amounts(judged.key, None if failed else amounts, record["by"], None)
        )
        if record["by"] in ("result", "http-result"):
            result = ToolResult(None, judged.call.name, "", is_error=failed)
            self._rehearsal.finish(results.observe_http(judged.key, result))

    # --- humans ----------------------------------------------------------------------------------------
    def _hold(self, record: Mapping[str, Json]) -> None:
        stated = record["call"]
        name = (record["session"], stated["name"], stated["args_sha256"])
        if record["event"] == "used":
            self._used = (record["hold"]["id"], name)
            return
        judged = self._held.get(name)
        hold = judged.decision.hold if judged is not None else None
        if hold is None:
            return
        try:
            if record["event"] == "approved":
                self._rehearsal.approve(hold, reason=record["reason"])
            elif record["event"] == "denied":
                self._rehearsal.deny(hold, reason=record["reason"])
            elif record["event"] == "abandoned":
                self._rehearsal.finish(self._rehearsal.pipeline.desk.abandon(hold.id))
        except HoldError:
            return  # answered twice, or too late for this one

    def _use(self, *, but: str | None) -> None:
        """Lets a call that waited for its approval pass; not where a new call is what used it."""
        if self._used is None:
            return
        (hold_id, name), self._used = self._used, None
        judged = self._held.get(name)
        if hold_id == but or judged is None or judged.decision.hold is None:
            return
        hold = self._rehearsal.finish(self._rehearsal.pipeline.desk.get(judged.decision.hold.id))
        if hold.state is not HoldState.APPROVED:
            return
        passed = self._rehearsal.decide(
            judged.conversation, judged.call, judged.key, _http_of(judged.call)
        )
        if passed.verdict is Verdict.ALLOW:
            self._calls.setdefault(name, []).append(passed)


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
