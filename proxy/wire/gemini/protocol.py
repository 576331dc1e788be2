"""Google's Gemini API as one protocol: generateContent and streamGenerateContent, wherever they are served.

`request` and `restore` read and mend requests, `gate` gates the answers, `framing` cuts them, `parts` knows
parts. Here are the targets: the method stands behind the last colon of a path, on the Developer API
(`/v1beta/models/{m}:generateContent`, tuned models), on Vertex (`…/publishers/google/models/{m}:…`,
`…/endpoints/{e}:…`, with and without a project), and as Cloud Code's `/v1internal:…`. The two gRPC names are claimed too, so that they
end closed. Batches are refused: their answers come later and elsewhere.

Vertex serves other vendors' APIs as `:rawPredict` and `:streamRawPredict`; those are claimed here for
their own protocols. Errors have the shape of https://cloud.google.com/apis/design/errors (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxy.errors import WireError
from proxy.wire.anthropic import protocol as anthropic
from proxy.wire.chat import protocol as chat
from proxy.wire.codec import ParsedRequest, RefusedResponse, ResponseGate, Target, WireProtocol
from proxy.wire.gemini.framing import Elements, Events, Framing, Whole
from proxy.wire.gemini.gate import GeminiGate, has_calls
from proxy.wire.gemini.parts import PROVIDER
from proxy.wire.gemini.request import parse_request
from proxy.wire.gemini.restore import restore
from proxy.wire.jsontext import decode_marked, encode
from proxy.wire.mistral import protocol as mistral

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    426: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})


class Gemini:
    """`codec.WireProtocol` for one method of one model."""

    name = PROVIDER

    def __init__(
        self,
        *,
        model: str | None = None,
        stream: bool = False,
        sse: bool = False,
        batch: bool = False,
    ):
        self._model = model
        self._stream = stream
        self._sse = sse  # `alt=sse`: how an answer without a content type is framed
        self._batch = batch

    def parse_request(self, body: bytes) -> ParsedRequest:
        if self._batch:
            raise WireError("gemini: batches are not judged; use single requests")
        return parse_request(body, model=self._model, stream=self._stream)

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return restore(request, memories)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        media_type, charset = read_content_type(content_type)
        good = 200 <= status < 300
        framing: Framing
        if good and charset not in _CHARSETS:
            raise WireError(f"gemini: response of charset {charset!r}")
        if not media_type and good:
            # SDKs never look at the header, they read by the method that they called.
            media_type = "text/event-stream" if self._sse else "application/json"
        if media_type == "text/event-stream":
            framing = Events(_refuse_calls)
        elif good and media_type != "application/json":
            raise WireError(
                f"gemini: response of content type {media_type!r};"
                " expected application/json or text/event-stream"
            )
        else:
            framing = Elements() if good and self._stream else Whole()
        return GeminiGate(framing, status=status, ref=ref, error_body=self.error_body)

    def error_body(self, status: int, text: str) -> bytes:
        return error_body(status, text)


def error_body(status: int, text: str) -> bytes:
    """Returns an error as every Google API writes it."""
    name = _STATUSES.get(status, "INTERNAL")
    return encode({"error": {"code": status, "message": text, "status": name}})


def read_content_type(value: str) -> tuple[str, str]:
    """Returns media type and charset in lower case; httpx decodes a body by the charset."""
    media_type, _, parameters = value.lower().partition(";")
    found = re.search(r"charset\s*=\s*[\"']?([^\s;\"']*)", parameters)
    return media_type.strip(), found[1] if found else ""


def _refuse_calls(text: bytes) -> None:
    if has_calls(decode_marked(text, "gemini: response")):
        raise WireError("gemini: a call outside of an event")


PROTOCOL: WireProtocol = Gemini()
PROTOCOLS: tuple[WireProtocol, ...] = (PROTOCOL,)
"""One a name under which memories are kept."""

_METHOD = re.compile(
    r"(?:.*/)?(?:(?P<model>[^/:]+):|(?:.*:)?)"
    r"(?P<verb>(?:stream)?generatecontent|batchgeneratecontent|asyncbatchgeneratecontent)"
)
_RAW = re.compile(
    r"(?:.*/)?publishers/(?P<publisher>anthropic|mistralai)/models/[^/]+:(?:stream)?rawpredict"
)


def claims(target: Target) -> WireProtocol | None:
    """Returns this API's protocol where the target is one of its endpoints."""
    if found := _METHOD.fullmatch(target.path):
        verb = found["verb"]
        return Gemini(
            model=_model(target.raw_path, found["model"]),
            stream=verb.startswith("stream"),
            sse=verb.startswith("stream") and "alt=sse" in target.query.lower(),
            batch="batch" in verb,
        )
    if found := _RAW.fullmatch(target.path):
        if found["publisher"] == "anthropic":
            return anthropic.PROTOCOL
        return mistral.PROTOCOLS[0] if mistral.PROTOCOLS else chat.PROTOCOL
    return None


def _model(raw_path: str, lowered: str | None) -> str | None:
    """Returns the model as the path spells it, where that can be told."""
    if lowered is None or lowered == "v1internal":
        return None
    at = raw_path.lower().rfind(lowered)
    return raw_path[at : at + len(lowered)] if at >= 0 else lowered
