"""One rule set, a throw-away ledger and a clock that is set: what the proxy would have answered.

How it works. A `Rehearsal` holds the proxy's own `Pipeline`; a `Conversation` is one session of it, and tells
it what an agent's traffic would have told it: each text and result in a model request, each call in a
response of its own (or several in one), each HTTP or MCP call on the tool's side. The clock stands still
until it is moved: a step takes a second, `wait` as long as it says, and what falls due meanwhile
(reservations, holds) is swept as the proxy sweeps it.

A rehearsal runs its coroutines on a loop of its own: use it where no loop is running.

What the model itself costs (`tokens.*`, `spend`) is not rehearsed: no provider tells its usage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from proxy.canonical import digest
from proxy.errors import CheckreinError
from proxy.ledger.writer import Record, Sink
from proxy.model import (
    Call,
    Effect,
    Hold,
    HttpCall,
    Identity,
    Json,
    Reason,
    Side,
    ToolDefinition,
    ToolResult,
    Trust,
    Verdict,
)
from proxy.pipeline.core import Pipeline
from proxy.pipeline.decision import Decision
from proxy.pipeline.judge import Asked, call_key
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.instant import InstantWriter
from proxy.rehearsal.ledger import ThrowawayStore
from proxy.settings import Settings
from proxy.wire.codec import ParsedRequest
from proxy.wire.jsontext import call_from_value

START_MS = 1_767_603_600_000
"""2026-01-05T09:00:00Z, a Monday morning: nothing is out of hours unless a rehearsal says so."""

STEP_MS = 1_000
PROVIDER = "openai.chat"
BY = "rehearsal"
"""Who answers holds."""

_NOWHERE = Path("rehearsal")
_SETTINGS = Settings(state=_NOWHERE, log=_NOWHERE, admin=_NOWHERE)


class RehearsalError(CheckreinError):
    """A step that makes no sense where it stands: nothing is held, there is no such call."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One call and what was decided; `effects` as the decision log has them."""

    conversation: Conversation
    call: Call
    key: str
    decision: Decision
    effects: tuple[Mapping[str, Json], ...] = ()
    http: HttpCall | None = None
    named: bool = True  # False: an HTTP request that no route names; it passes unjudged

    @property
    def verdict(self) -> Verdict:
        return self.decision.verdict

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What spoke against the call; none where it was let through by a human's approval alone."""
        return self.decision.reasons


class Rehearsal:
    """Rules, tried. Close it, or use it as a context manager."""

    def __init__(
        self,
        rules: RuleSet,
        *,
        settings: Settings = _SETTINGS,
        started_at_ms: int = START_MS,
        spills: bool = False,
        sink: Sink | None = None,
    ) -> None:
        """Opens an empty ledger.

        Args:
            rules: the rule set.
            settings: how long holds, approvals and reservations last.
            started_at_ms: where the clock begins.
            spills: many sessions share the ledger, it may outgrow memory.
            sink: where the decision log's records go, `DecisionLog.append` for one.
        """
        self._sink = sink
        self.rules = rules
        self._spills = spills
        self.settings = settings
        self._started_at_ms = started_at_ms
        self._loop = asyncio.new_event_loop()
        self._open(started_at_ms)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._writer.close()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def reset(self, started_at_ms: int | None = None) -> None:
        """Begins anew: an empty ledger, the clock where it was at first or at `started_at_ms`."""
        self._writer.close()
        self._open(self._started_at_ms if started_at_ms is None else started_at_ms)

    def _open(self, started_at_ms: int) -> None:
        self.now_ms = started_at_ms
        self._writer = InstantWriter(ThrowawayStore(spills=self._spills), self._sink)
        self.pipeline = Pipeline(self.rules, self._writer, self.settings, lambda: self.now_ms)
        self._conversations: dict[tuple[str, str], Conversation] = {}
        self._numbers = 0
        self.pending: list[Hold] = []
        self.signals: dict[str, int] = {}  # that were met, and how often

    # --- who ---------------------------------------------------------------------------------------
    def session(
        self,
        name: str = "session",
        *,
        agent: str = "agent",
        human: str | None = None,
        parent: str | None = None,
        trust: Trust = Trust.CREDENTIAL,
        agent_trust: Trust | None = None,
    ) -> Conversation:
        """Returns the conversation of a session and agent, a new one when it is first asked for.

        `trust` is what the session's name is worth, and the agent's, unless `agent_trust` says.
        """
        found = self._conversations.get((name, agent))
        if found is None:
            identity = Identity(
                name, agent, trust, trust if agent_trust is None else agent_trust, human, parent
            )
            found = self._conversations[name, agent] = Conversation(self, identity)
            self.finish(self.pipeline.see_session(identity, BY))
        return found

    # --- time --------------------------------------------------------------------------------------
    def step(self) -> None:
        """A moment passes."""
        self.now_ms += STEP_MS

    def wait(self, duration_s: float | Decimal) -> None:
        """Time passes; what has fallen due is swept."""
        self.now_ms += int(duration_s * 1000)
        self.sweep()

    def sweep(self) -> None:
        """Commits and expires what is due, as the proxy does every second."""
        while self.finish(self.pipeline.results.commit_due()):
            pass
        self.finish(self.pipeline.desk.expire_due())

    # --- holds -------------------------------------------------------------------------------------
    def approve(self, hold: Hold | None = None, *, reason: str | None = None) -> Hold:
        """A human says yes, to the newest hold when none is named."""
        hold = self._held(hold)
        return self.finish(self.pipeline.desk.approve(hold.id, BY, reason))

    def deny(self, hold: Hold | None = None, *, reason: str | None = None) -> Hold:
        """A human says no."""
        hold = self._held(hold)
        return self.finish(self.pipeline.desk.deny(hold.id, BY, reason))

    def _held(self, hold: Hold | None) -> Hold:
        if hold is not None:
            return hold
        if not self.pending:
            raise RehearsalError("no call was held before this step")
        return self.pending[-1]

    # --- signals -----------------------------------------------------------------------------------
    def freeze(self, session: str, *, reason: str | None = None) -> None:
        """The operator stops a session."""
        if self.finish(self.pipeline.signals.freeze(session, BY, reason)) is None:
            raise RehearsalError(f"the session '{session}' was not seen before this step")

    def thaw(self, session: str, *, reason: str | None = None) -> None:
        """The operator lets it go on."""
        if self.finish(self.pipeline.signals.thaw(session, BY, reason)) is None:
            raise RehearsalError(f"the session '{session}' was not seen before this step")

    def post_signal(self, name: str, **fields: Json) -> None:
        """Another system tells something; `session`, `agent` or `human` say whom it is about."""
        try:
            self.finish(self.pipeline.signals.post({"name": name, **fields}, BY))
        except ValueError as error:
            raise RehearsalError(str(error)) from error

    # --- what conversations use ----------------------------------------------------------------------
    def finish[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Runs one of the pipeline's coroutines to its end."""
        return self._loop.run_until_complete(work)

    def number(self) -> int:
        """Returns the next of the numbers that name responses and calls."""
        self._numbers += 1
        return self._numbers

    def decide(
        self,
        conversation: Conversation,
        call: Call,
        key: str,
        http: HttpCall | None = None,
        *,
        costs: Sequence[Effect] | None = None,
    ) -> Judged:
        """Judges a call as the proxy does; `costs` are the effects of a model request."""
        asked = Asked(
            call, conversation.identity, key, http, costs, ran_already=call.executor == "provider"
        )
        self._take_records()
        try:
            decision = self.finish(self._decide(asked))
        except Exception as error:  # noqa: BLE001 - whatever it is, the proxy refuses the call
            text = f"checkrein could not judge this call: {type(error).__name__}"
            decision = Decision(Verdict.BLOCK, call, (Reason("error", text, Verdict.BLOCK),))
        effects: tuple[Mapping[str, Json], ...] = ()
        for record in self._take_records():
            if record["type"] == "decision":
                effects = tuple(record["effects"])
        if decision.verdict is Verdict.HOLD and decision.hold is not None:
            self.pending.append(decision.hold)
        return Judged(conversation, call, key, decision, effects, http)

    def _take_records(self) -> list[Record]:
        """Returns what was logged since the last time, and notes which signals were met."""
        taken = self._writer.take_records()
        for record in taken:
            if record["type"] == "signal":
                for rule in record["rules"]:
                    self.signals[rule["name"]] = self.signals.get(rule["name"], 0) + 1
        return taken

    def signals_met(self) -> dict[str, int]:
        """Returns the signals that were met so far, by name."""
        self._take_records()
        return dict(self.signals)

    async def _decide(self, asked: Asked) -> Decision:
        pipeline = self.pipeline
        if asked.ran_already:
            decision = await pipeline.judge.decide(asked)
            await pipeline.results.commit(asked.key, "provider")
            return decision
        return await pipeline.decide(
            asked.call, asked.identity, asked.key, asked.http, effects=asked.effects
        )


class Conversation:
    """One session with one agent."""

    def __init__(self, rehearsal: Rehearsal, identity: Identity) -> None:
        self.identity = identity
        self.tools: tuple[ToolDefinition, ...] = ()
        self._rehearsal = rehearsal
        self._system: list[str] = []
        self._first_user = ""
        self._results: dict[tuple[str | None, str | None], list[ToolResult]] = {}

    # --- what is said ------------------------------------------------------------------------------
    def system(self, *texts: str) -> None:
        """The system prompt, or more of it: then it has changed."""
        self._rehearsal.step()
        self._system += texts
        self._request()

    def user(self, text: str) -> None:
        self._rehearsal.step()
        self._first_user = self._first_user or text
        self._request(text)

    # --- calls -------------------------------------------------------------------------------------
    def call(
        self,
        name: str,
        arguments: Json = None,
        *,
        call_id: str | None = None,
        server: str | None = None,
        confidence: Decimal | None = None,
    ) -> Judged:
        """The model calls a tool, or with `server` the client calls a tool of an MCP server."""
        return self.calls([self.make_call(name, arguments, call_id, server, confidence)])[0]

    def make_call(
        self,
        name: str,
        arguments: Json = None,
        call_id: str | None = None,
        server: str | None = None,
        confidence: Decimal | None = None,
    ) -> Call:
        """Returns a call that is not made yet, for `calls`."""
        number = self._rehearsal.number()
        return call_from_value(
            {} if arguments is None else arguments,
            id=None if server is not None else call_id or f"call_{number}",
            name=name,
            provider=PROVIDER if server is None else "mcp",
            side=Side.MODEL if server is None else Side.MCP,
            kind="function" if server is None else "mcp",
            namespace=server,
            confidence=confidence,
        )

    def calls(self, calls: Sequence[Call]) -> list[Judged]:
        """One response asks for several calls at once."""
        self._rehearsal.step()
        origin = f"response-{self._rehearsal.number()}"
        return [
            self._rehearsal.decide(self, call, call_key(self.identity, call, origin))
            for call in calls
        ]

    def again(self, judged: Judged) -> Judged:
        """The same call once more, in a new response."""
        if judged.http is not None:
            return self._http(judged.http)
        call = judged.call
        if call.id is not None:
            call = replace(call, id=f"call_{self._rehearsal.number()}")
        return self.calls([call])[0]

    def approved(self, judged: Judged) -> Judged:
        """A human says yes while the call waits: it goes on, and is not made again."""
        self._rehearsal.approve(judged.decision.hold)
        return self._rehearsal.decide(self, judged.call, judged.key, judged.http)

    def http(
        self,
        method: str,
        host: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Json = None,
    ) -> Judged:
        """The agent's own program sends a request to a tool API."""
        pairs = tuple((name.lower(), value) for name, value in (headers or {}).items())
        return self._http(HttpCall(method.upper(), host, path, query or {}, pairs, body))

    def _http(self, http: HttpCall) -> Judged:
        rehearsal = self._rehearsal
        rehearsal.step()
        arguments: Json = {"path": http.path, "query": dict(http.query), "body": http.body}
        name = rehearsal.rules.route_name(http.method, http.host, http.path)
        call = Call(
            id=None,
            name=name or f"{http.method} {http.host}{http.path}",
            arguments=arguments,
            provider="http",
            args_sha256=digest(arguments),
            side=Side.HTTP,
            kind="http",
        )
        key = call_key(self.identity, call, f"request-{rehearsal.number()}")
        if not rehearsal.rules.is_call(http):
            passed = Decision(Verdict.ALLOW, call)
            return Judged(self, call, key, passed, http=http, named=False)
        return rehearsal.decide(self, call, key, http)

    # --- results -----------------------------------------------------------------------------------
    def result(
        self, judged: Judged, text: str, *, is_error: bool = False, certain: bool = True
    ) -> None:
        """What became of a call: in the next model request, or in the tool's own answer."""
        self._rehearsal.step()
        call = judged.call
        if call.side is Side.MODEL:
            self.results([ToolResult(call.id, call.name, text, is_error, call.args_sha256)])
            return
        result = ToolResult(None, None, text, is_error)
        work = self._rehearsal.pipeline.results.observe_http(judged.key, result, certain=certain)
        self._rehearsal.finish(work)

    def results(self, results: Iterable[ToolResult]) -> None:
        """Results that come in one model request.

        A request brings the whole history; of it only results of the same calls count, so that those
        are brought again and a long session costs no more than a short one.
        """
        concerned: dict[tuple[str | None, str | None], list[ToolResult]] = {}
        for result in results:
            name = (result.call_id, result.args_sha256)
            known = self._results.setdefault(name, [])
            known.append(result)
            concerned[name] = known
        if concerned:
            self._request(results=[r for known in concerned.values() for r in known])

    def _request(self, user_text: str = "", results: Sequence[ToolResult] = ()) -> None:
        system = "\n".join(self._system)
        request = ParsedRequest(
            provider=PROVIDER,
            document={},
            results=tuple(results),
            tools=self.tools,
            system_text=system,
            user_text=user_text,
            opening=f"{system}\n{self._first_user}" if system else self._first_user,
        )
        self._rehearsal.finish(self._rehearsal.pipeline.observe(self.identity, request))
