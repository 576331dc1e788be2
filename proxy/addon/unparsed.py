"""Traffic with a model that no codec reads: found here, and put before the rules as a call of its own.

What belongs here: telling such traffic from the rest of the web, and acting on what `unparsed:` says of
it: `block` (an error in the API's own shape), `hold` (a human looks at it first) or `allow`. Each request
leaves one decision record (`call.kind` is `unparsed`, `call.name` "METHOD host/path"), whatever the
verdict. Unparsed are, if no codec claims them:

- on a known model host (`wire/hosts.py`), or one the rules name under `model_hosts`: every endpoint that is
  not understood as bringing no call. Contents of files are among them, a batch's output is a file;
- on any host: the paths of batches, whose answers hold many answers;
- on any host: a POST whose body no codec can read and that a server may read as a model's request (UTF-16,
  a byte order mark, comments, a key twice).
"""

from __future__ import annotations

import secrets
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from mitmproxy import http

from proxy.addon.refusals import api_error, refused_call
from proxy.addon.tool_request import OVERRIDES
from proxy.canonical import digest, sha256_hex
from proxy.errors import WireError
from proxy.model import Call, Identity, Json, Side, Verdict
from proxy.pipeline.asking import until_answered
from proxy.pipeline.judge import call_key
from proxy.pipeline.texts import refusal_text
from proxy.pipeline.waiting import Presence
from proxy.policy.routes import normal_host
from proxy.wire import detect, hosts
from proxy.wire.codec import WireProtocol
from proxy.wire.jsontext import decode_marked, is_ambiguous

if TYPE_CHECKING:
    from proxy.pipeline.core import Pipeline

_BATCH = "batches are not judged: calls in their results would come past every gate"
_ENDPOINT = "this endpoint of a model's host is not read"
_BODY = "this body may be a model's request and cannot be read in one way"


def names_of(flow: http.HTTPFlow) -> tuple[str, ...]:
    """Returns every name under which a request's destination is known, in normal spelling.

    The host that is connected to, the Host header and `:authority`, and the name in the TLS handshake:
    a server may go by any of them.
    """
    request = flow.request
    named = [request.host, request.authority, *request.headers.get_all("host")]
    named.append(flow.client_conn.sni or "")
    return tuple(dict.fromkeys(normal_host(name) for name in named if name))


class Unparsed:
    """Judges what cannot be parsed."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def on_path(self, flow: http.HTTPFlow) -> str | None:
        """Returns why a request that no codec claims is unparsed, by its head; None: it is not."""
        request = flow.request
        if detect.is_batch(request.path) and request.method.upper() != "OPTIONS":
            return _BATCH
        for name in names_of(flow):
            if not self._is_model_host(name, request.path):
                continue
            is_plain = not any(header in request.headers for header in OVERRIDES)
            if not is_plain or not hosts.is_understood(name, request.method.upper(), request.path):
                return _ENDPOINT
        return None

    def in_body(self, flow: http.HTTPFlow, body: bytes) -> str | None:
        """Returns why a body that no codec knows is unparsed; None: it is not."""
        if flow.request.method.upper() != "POST" or not hosts.looks_like_a_model_request(body):
            return None
        try:
            if not is_ambiguous(decode_marked(body, "body")):
                return None  # `detect.sniff` has read what a server reads, and it is something else
        except WireError:
            pass
        return _BODY

    async def judge(self, flow: http.HTTPFlow, identity: Identity, body: bytes, why: str) -> bool:
        """Returns whether the request passes; else it has its answer, or its client has gone."""
        presence = Presence()
        call = self._call(flow, body, why)
        key = call_key(identity, call, secrets.token_hex(16))
        decision = await self._pipeline.decide(call, identity, key)
        user_agent = flow.request.headers.get("user-agent", "")
        answered = await until_answered(
            self._pipeline,
            decision,
            self._pipeline.client_profile(user_agent),
            presence,
            lambda: self._pipeline.decide(call, identity, key),
            lambda: flow.client_conn.connected,
        )
        if answered is None:
            flow.kill()
            return False
        decision = answered
        if decision.verdict is Verdict.ALLOW:
            return True
        protocol = self._errors_of(flow)
        if protocol is None:
            flow.response = refused_call(decision)
        else:
            flow.response = api_error(protocol, 403, refusal_text(decision, None))
        return False

    def _is_model_host(self, name: str, path: str) -> bool:
        if any(name == p or fnmatchcase(name, p) for p in self._pipeline.rules.model_hosts):
            return True
        return hosts.family_of(name) is not None and hosts.is_model_traffic(name, path)

    def _errors_of(self, flow: http.HTTPFlow) -> WireProtocol | None:
        for name in names_of(flow):
            if (family := hosts.family_of(name)) is not None:
                return detect.PROTOCOLS.get(family.protocol, detect.PROTOCOLS["openai.chat"])
        return None

    def _call(self, flow: http.HTTPFlow, body: bytes, why: str) -> Call:
        request = flow.request
        path, _, query = request.path.partition("?")
        host = normal_host(request.pretty_host)
        arguments: Json = {
            "why": why,
            "method": request.method.upper(),
            "host": host,
            "path": path,
            "query_sha256": sha256_hex(query.encode("utf-8", "surrogateescape")),
            "body_sha256": sha256_hex(body),
            "body_bytes": len(body),
        }
        return Call(
            id=None,
            name=f"{request.method.upper()} {host}{path}",
            arguments=arguments,
            provider="http",
            args_sha256=digest(arguments),
            side=Side.HTTP,
            kind="unparsed",
        )
