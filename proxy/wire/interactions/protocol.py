"""Google's Interactions API as one protocol.

`request` reads and mends requests, `stream_gate` and `json_gate` gate the answers, `steps` knows
steps. Here are the targets: `/interactions` (POST), `/interactions/{id}` (a stored one, also as
a stream) and `/interactions/{id}/cancel`, which answers with the interaction, below any version or gateway
prefix; Vertex has them below a project and location.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxy.errors import WireError
from proxy.wire.codec import ParsedRequest, RefusedResponse, ResponseGate, Target, WireProtocol
from proxy.wire.gemini.protocol import error_body, read_content_type
from proxy.wire.interactions.json_gate import InteractionGate
from proxy.wire.interactions.request import parse_request, restore
from proxy.wire.interactions.steps import PROVIDER
from proxy.wire.interactions.stream_gate import InteractionStreamGate

_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})


class Interactions:
    """`codec.WireProtocol` for the Interactions API."""

    name = PROVIDER

    def parse_request(self, body: bytes) -> ParsedRequest:
        return parse_request(body)

    def restore(self, request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
        return restore(request, memories)

    def gate(
        self, *, content_type: str, status: int, ref: str, request: ParsedRequest | None
    ) -> ResponseGate:
        media_type, charset = read_content_type(content_type)
        if 200 <= status < 300 and charset not in _CHARSETS:
            raise WireError(f"interactions: response of charset {charset!r}")
        if media_type == "text/event-stream":
            return InteractionStreamGate(ref=ref, error_body=self.error_body)
        if not 200 <= status < 300 or media_type == "application/json":
            return InteractionGate(status=status, ref=ref, error_body=self.error_body)
        raise WireError(
            f"interactions: response of content type {media_type!r};"
            " expected application/json or text/event-stream"
        )

    def error_body(self, status: int, text: str) -> bytes:
        return error_body(status, text)


PROTOCOL: WireProtocol = Interactions()
PROTOCOLS: tuple[WireProtocol, ...] = (PROTOCOL,)
"""One a name under which memories are kept."""

_PATHS = re.compile(
    r"(?:.*/)?v\d+[a-z0-9]*/(?:projects/[^/]+/locations/[^/]+/)?"
    r"interactions(?:/(?P<id>[^/:]+)(?:[/:]cancel)?)?"
)


def claims(target: Target) -> WireProtocol | None:
    """Returns this API's protocol where the target is one of its endpoints."""
    found = _PATHS.fullmatch(target.path)
    if found is None or (found["id"] is None and target.method in ("GET", "HEAD")):
        return None
    return PROTOCOL
