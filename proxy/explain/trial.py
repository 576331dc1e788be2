"""A call judged without a trace: by the proxy's own judge, in a transaction that is undone.

What belongs here: `Asking`, a call and who makes it, with changed arguments where wanted, and `Trials`, which judges it as often
as wanted in one and the same state. The clock can be set ahead, the rules changed, and another call be made and answered
before, all for one trial only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from proxy.canonical import digest
from proxy.explain.listening import ListeningRules
from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit, Record
from proxy.model import Call, Effect, HttpCall, Identity, Json, Reason, ToolResult, Verdict
from proxy.pipeline.decision import Decision
from proxy.pipeline.judge import Asked, call_key
from proxy.rehearsal.rehearsal import Rehearsal


@dataclass(frozen=True, slots=True)
class Asking:
    """One call, who makes it, and as which request where it is one."""

    call: Call
    identity: Identity
    http: HttpCall | None = None
    costs: Sequence[Effect] | None = None  # of a model request

    @property
    def arguments(self) -> Json:
        """What rules read as `args`: of a request its body."""
        return self.call.arguments if self.http is None else self.http.body

    def with_arguments(self, arguments: Json) -> Asking:
        """Returns the same call with other arguments."""
        if self.http is None:
            call = replace(
                self.call, arguments=arguments, args_sha256=digest(arguments), fault=None
            )
            return replace(self, call=call)
        http = replace(self.http, body=arguments)
        made: Json = {"path": http.path, "query": dict(http.query), "body": http.body}
        call = replace(self.call, arguments=made, args_sha256=digest(made))
        return replace(self, call=call, http=http)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one trial came to."""

    decision: Decision
    records: tuple[Record, ...]

    @property
    def verdict(self) -> Verdict:
        return self.decision.verdict

    @property
    def stopping(self) -> frozenset[str]:
        """The rules that stop the call; none where it passes."""
        if self.verdict is Verdict.ALLOW:
            return frozenset()
        return frozenset(r.rule for r in self.decision.reasons if r.verdict > Verdict.ALLOW)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A call that is made and answered before the one that is tried."""

    asking: Asking
    text: str


class _UndoneError(Exception):
    """Ends a transaction with nothing kept."""


class Trials:
    """Judges calls in the state that a rehearsal has come to, and leaves it as it is."""

    def __init__(self, rehearsal: Rehearsal, rules: ListeningRules) -> None:
        self._rehearsal = rehearsal
        self._rules = rules
        self.count = 0
        self.at_ms = rehearsal.now_ms

    def judge[T](self, asking: Asking, look: Callable[[Outcome], T]) -> T:
        """Judges a call; `look` is called while the session's past can still be asked."""
        found: list[T] = []

        def job(tx: Transaction, emit: Emit) -> None:
            found.append(look(self._decide(asking, tx)))
            raise _UndoneError

        self._undone(job)
        return found[0]

    def outcome(
        self, asking: Asking, *, before: Evidence | None = None, later_ms: int = 0
    ) -> Outcome:
        """Judges a call, where wanted after another one has been answered, or later."""
        found: list[Outcome] = []

        def job(tx: Transaction, emit: Emit) -> None:
            if before is not None and not self._answer(before, tx):
                raise _UndoneError
            found.append(self._decide(asking, tx))
            raise _UndoneError

        with self._clock(later_ms):
            self._undone(job)
        return found[0] if found else self.outcome(asking, later_ms=later_ms)

    @contextmanager
    def under(self, rules: ListeningRules) -> Iterator[None]:
        """Judges by other rules for a while."""
        pipeline = self._rehearsal.pipeline
        pipeline.rulebook.rules = rules
        try:
            yield
        finally:
            pipeline.rulebook.rules = self._rules

    @contextmanager
    def _clock(self, later_ms: int) -> Iterator[None]:
        now_ms = self._rehearsal.now_ms
        self._rehearsal.now_ms = self.at_ms + later_ms
        try:
            yield
        finally:
            self._rehearsal.now_ms = now_ms

    def _undone(self, job: Callable[[Transaction, Emit], None]) -> None:
        try:
            self._rehearsal.finish(self._rehearsal.pipeline.in_transaction(job))
        except _UndoneError:
            return

    def _decide(self, asking: Asking, tx: Transaction) -> Outcome:
        self.count += 1
        self._rules.forget()
        records: list[Record] = []
        key = call_key(asking.identity, asking.call, f"trial-{self.count}")
        asked = Asked(
            asking.call,
            asking.identity,
            key,
            asking.http,
            asking.costs,
            ran_already=asking.call.executor == "provider",
        )
        try:
            decision = self._rehearsal.pipeline.judge.decide_in(asked, tx, records.append)
        except Exception as error:  # noqa: BLE001 - whatever it is, the proxy refuses the call
            text = f"checkrein could not judge this call: {type(error).__name__}"
            reason = Reason("error", text, Verdict.BLOCK)
            decision = Decision(Verdict.BLOCK, asking.call, (reason,))
        return Outcome(decision, tuple(records))

    def _answer(self, before: Evidence, tx: Transaction) -> bool:
        """Makes a call and lets its result be observed; False where it is not let through."""
        pipeline = self._rehearsal.pipeline
        if self._decide(before.asking, tx).verdict is not Verdict.ALLOW:
            return False
        key = call_key(before.asking.identity, before.asking.call, f"trial-{self.count}")
        released = tx.released_call(key)
        if released is None:
            return False
        result = ToolResult(None, released.tool, before.text)
        read = pipeline.reader.read_now(before.text)
        pipeline.story.observed(
            tx, pipeline.rules, released.family, released, result, read, self._rehearsal.now_ms
        )
        return True
