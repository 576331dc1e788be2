"""AWS Bedrock's runtime: Converse, ConverseStream, InvokeModel and its stream.

What belongs here: which part reads what, and which paths are this API's. A path tells the model and the
method: `/model/{id}/converse`, `/model/{id}/invoke`, each with its stream. Ids are ARNs or names of
inference profiles too, with slashes and percent signs in them.

Not gated, since no call can stand in their answers: `count-tokens`, `/guardrail/…`, `/async-invoke`
(the answers go to a bucket). Never let through: `invoke-with-bidirectional-stream` (speech, whose calls
come on a connection that is open both ways).

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html
(read 2026-11) and botocore's service model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from proxy.errors import WireError
from proxy.wire.bedrock import converse_request, invoke_request
from proxy.wire.bedrock.blocks import CONVERSE, context_of
from proxy.wire.bedrock.converse_json import ConverseGate
from proxy.wire.bedrock.invoke_json import InvokeGate
from proxy.wire.bedrock.stream_gate import ConverseStreamGate, InvokeStreamGate
from proxy.wire.codec import ParsedRequest, RefusedResponse, ResponseGate, Target, WireProtocol
from proxy.wire.jsontext import encode

INVOKE = "bedrock.invoke"
_EVENT_STREAM = "application/vnd.amazon.eventstream"
_JSON_TYPES = frozenset(
    {"application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1"}
)

_PATH = re.compile(
    r"(?:.*/)?model/(?P<model>.+)/"
    r"(?P<method>converse|invoke|converse-stream|invoke-with-response-stream"
    r"|invoke-with-bidirectional-stream)"
)

_ERROR_TYPES = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


class _Bedrock:
    """What both APIs share."""

    name = ""

    def __init__(self, model: str | None = None, *, stream: bool | None = None) -> None:
        self._model = model
        self._path_streams = stream  # None: no path is known

    @property
    def _stream(self) -> bool:
        return self._path_streams is True

    def error_body(self, status: int, text: str) -> bytes:
        # SDKs take the error's code from `__type` where no `x-amzn-errortype` header names it.
        kind = _ERROR_TYPES.get(status, "InternalServerException")
        return encode({"__type": kind, "message": text})

    def _streams(self, content_type: str, status: int) -> bool:
        """Tells whether the answer is an event stream; the path decides how SDKs read it.

        Raises:
            WireError: a successful answer of the other kind.
        """
        if not 200 <= status < 300:
            return False
        media = content_type.partition(";")[0].strip().lower()
        if not media and self._path_streams is not None:
            return self._path_streams  # SDKs go by the operation and never look at the header
        if media in _JSON_TYPES and self._path_streams and self.name == CONVERSE:
            # What AWS says of an operation that it does not know, with a status of 200. It is read as
            # JSON, and no JSON is an event stream to an SDK (of Invoke it may be: to cohere's, which
            # looks for braces).
            return False
        is_stream = media == _EVENT_STREAM
        if self._path_streams is not None and is_stream != self._path_streams:
            raise WireError(f"{self.name} response: content type {content_type!r} is not used here")
        return is_stream


class Converse(_Bedrock):
    """`codec.WireProtocol` for Converse and ConverseStream."""

    name = CONVERSE

    def parse_request(self, body: bytes) -> ParsedRequest:
        return converse_request.parse(
            body, provider=self.name, model=self._model, stream=self._stream
        )

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        made = converse_request.restore(request.document, memories)
        return None if made is None else encode(made)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        context = context_of(self.name, ref, request)
        if self._streams(content_type, status):
            return ConverseStreamGate(context)
        return ConverseGate(context, status=status, error_body=self.error_body)


class Invoke(_Bedrock):
    """`codec.WireProtocol` for InvokeModel and InvokeModelWithResponseStream."""

    name = INVOKE

    def parse_request(self, body: bytes) -> ParsedRequest:
        return invoke_request.parse(
            body, provider=self.name, model=self._model, stream=self._stream
        )

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return invoke_request.restore(request, memories)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        context = context_of(self.name, ref, request)
        if self._streams(content_type, status):
            return InvokeStreamGate(context)
        return InvokeGate(context, status=status, error_body=self.error_body)


class Bidirectional(Invoke):
    """The stream that is open both ways: refused, as its calls cannot be held."""

    def parse_request(self, body: bytes) -> ParsedRequest:
        raise WireError("bedrock: bidirectional streams are not judged; use ConverseStream")

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        raise WireError("bedrock: bidirectional streams are not judged; use ConverseStream")


PROTOCOLS: tuple[WireProtocol, ...] = (Converse(), Invoke())
"""One a name under which memories are kept."""


def claims(target: Target) -> WireProtocol | None:
    """Returns this API's protocol where the target is one of its endpoints."""
    found = _PATH.fullmatch(target.path)
    if found is None or target.method in ("GET", "HEAD"):
        return None
    raw = re.search(r"(?i)(?:^|/)model/+(.+)/[^/]+/*$", target.raw_path)
    model = unquote(raw[1]) if raw else found["model"]
    match found["method"]:
        case "converse" | "converse-stream" as method:
            return Converse(model, stream=method == "converse-stream")
        case "invoke-with-bidirectional-stream":
            return Bidirectional(model, stream=True)
        case method:
            return Invoke(model, stream=method != "invoke")
