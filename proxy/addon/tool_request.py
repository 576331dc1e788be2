"""A plain HTTP request to a tool API that rules name: the request is the call.

The second gate, and the only one for agents whose model traffic is not seen. The request waits here
while a human decides; nothing can be sent to the client meanwhile (its status is not known yet), so
the wait ends in good time with a problem document that says *pending*.
"""

from __future__ import annotations

import secrets

from mitmproxy import http

from proxy.addon.refusals import problem, refused_call
from proxy.addon.tool_body import content_type_of, names_method_field, read_body, read_form
from proxy.canonical import digest
from proxy.errors import UnjudgeableArguments
from proxy.model import Call, HttpCall, Identity, Json, Side, ToolResult, Verdict
from proxy.pipeline.asking import until_answered
from proxy.pipeline.core import Pipeline
from proxy.pipeline.judge import call_key
from proxy.pipeline.waiting import Presence

OVERRIDES = ("x-http-method-override", "x-http-method", "x-method-override")
_SETTLE_BYTES = 1 << 20  # a longer answer settles by its status alone


class ToolRequest:
    """Judges one tool request and settles it by its answer."""

    def __init__(
        self,
        pipeline: Pipeline,
        identity: Identity,
        flow: http.HTTPFlow,
        body: bytes,
        host: str | None = None,
        *,
        in_shadow: bool = False,
    ) -> None:
        """`host`: the name under which rules know the destination, if not the one connected to.
        `in_shadow`: only files in shadow name the route; what cannot be read passes.
        """
        self.presence = Presence()
        self._pipeline = pipeline
        self._identity = identity
        self._flow = flow
        self._body = body
        self._host = host or flow.request.host
        self._in_shadow = in_shadow
        self._key = ""

    async def judge(self) -> None:
        """Lets the request pass, or answers it with a refusal."""
        try:
            http_call, call = self._read()
        except (UnjudgeableArguments, ValueError, RecursionError) as error:
            known = isinstance(error, UnjudgeableArguments)
            text = str(error) if known else "bytes that are not what the content type says"
            if self._in_shadow:
                told = f"{text}: a route in shadow, so it passed"
                await self._pipeline.note_error(self._identity, "tool request", told)
                return
            self._flow.response = problem(
                400, "The request cannot be read safely", text, kind="unreadable"
            )
            await self._pipeline.note_error(self._identity, "tool request", type(error).__name__)
            return
        if not self._pipeline.rules.is_call(http_call):
            return  # a GraphQL document that asks for nothing the rules name
        self._key = call_key(self._identity, call, secrets.token_hex(16))
        decision = await self._pipeline.decide(call, self._identity, self._key, http_call)
        user_agent = self._flow.request.headers.get("user-agent", "")
        answered = await until_answered(
            self._pipeline,
            decision,
            self._pipeline.client_profile(user_agent),
            self.presence,
            lambda: self._pipeline.decide(call, self._identity, self._key, http_call),
        )
        if answered is None:
            self._flow.kill()
            return
        decision = answered
        if decision.verdict is not Verdict.ALLOW:
            self._flow.response = refused_call(decision)
            self._key = ""

    async def settle(self) -> None:
        """Settles what was reserved, by the API's own answer."""
        response = self._flow.response
        if not self._key or response is None:
            return
        raw = response.get_content(strict=False) or b""
        text = raw[:_SETTLE_BYTES].decode("utf-8", "replace") if len(raw) <= _SETTLE_BYTES else ""
        await self._pipeline.results.observe_http(
            self._key,
            ToolResult(call_id=None, name=None, text=text, is_error=response.status_code >= 400),
            certain=response.status_code < 500,
        )

    def _read(self) -> tuple[HttpCall, Call]:
        request = self._flow.request
        if any(name in request.headers for name in OVERRIDES):
            raise UnjudgeableArguments("a header that overrides the method")
        path, _, raw_query = request.path.partition("?")  # as sent: `routes.py` knows its dodges
        if request.method.upper() == "POST" and (
            names_method_field(raw_query) or names_method_field(self._body)
        ):
            raise UnjudgeableArguments("a field '_method' that overrides the method")
        query = read_form(raw_query, "query parameter")
        kind, parameters = content_type_of(request)
        body = read_body(self._body, kind, parameters)
        http_call = HttpCall(
            method=request.method.upper(),
            host=self._host,
            path=path,
            query=query,
            headers=tuple((k.lower(), v) for k, v in request.headers.items()),
            body=body,
        )
        name = self._pipeline.rules.route_name(request.method, self._host, request.path)
        arguments: Json = {"path": path, "query": query, "body": body}
        call = Call(
            id=None,
            name=name or f"{request.method} {self._host}{path}",
            arguments=arguments,
            provider="http",
            args_sha256=digest(arguments),
            side=Side.HTTP,
            kind="http",
        )
        return http_call, call
