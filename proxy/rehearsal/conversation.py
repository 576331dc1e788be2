"""One session of a rehearsal: what is said in it, called and brought.

What belongs here: making of each step what an agent's traffic would have shown the pipeline: a model request, a
response's calls, a request to a tool API. Histories come again at every turn of a real agent; here only what
is new in them is told, which says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from proxy.canonical import digest
from proxy.model import (
    Call,
    HttpCall,
    Identity,
    Json,
    Reason,
    Side,
    ToolDefinition,
    ToolResult,
    Verdict,
)
from proxy.pipeline.decision import Decision
from proxy.pipeline.judge import call_key
from proxy.wire.codec import ParsedRequest
from proxy.wire.jsontext import call_from_value

if TYPE_CHECKING:
    from proxy.rehearsal.rehearsal import Rehearsal

PROVIDER = "openai.chat"


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
