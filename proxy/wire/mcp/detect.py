"""Whether an HTTP request speaks MCP, also where it is written so that only lenient servers see it.

Any path can be an MCP endpoint, so the body tells, and the headers of the transport. A body that
looks like MCP and cannot be read strictly is for the caller to refuse: `looks_like` is lenient on
purpose (UTF-16, BOM, comments behind it, odd case), `messages.read_payload` is not.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.mcp.messages import NAMED_BY, Payload

_HEADERS = frozenset({"mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-name"})
_ROUTING = ("mcp-method", "mcp-name", "mcp-protocol-version")
# Cheap and wide: a body without these cannot hold a method, however it is encoded or escaped.
_WORTH_A_LOOK = re.compile(rb"method|\\u00|\x00", re.IGNORECASE)
_METHOD = re.compile(
    r"(?:tools|resources|prompts|tasks|sampling|elicitation|notifications|roots|completion|logging"
    r"|server|subscriptions)/[a-z_/]+|initialize|ping",
    re.IGNORECASE,
)
_KEYS = re.compile(r'"\s*(?:method|jsonrpc)\s*"\s*:', re.IGNORECASE)
_CALLS = re.compile(
    r'"\s*(?:tools/call|tools/list|resources/read|prompts/get|initialize)\s*"', re.IGNORECASE
)
_ESCAPE = re.compile(r"\\u00([0-7][0-9a-f])", re.IGNORECASE)
_BASE64 = re.compile(r"=\?base64\?(.*)\?=")


def _all_methods(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """An object as whoever reads it the most telling way: of two methods, MCP's counts."""
    made: dict[str, Json] = {}
    for key, value in pairs:
        folded = key.strip().casefold()
        if folded == "method" and _is_method(made.get("method")):
            continue
        made[folded] = value
    return made


def _is_method(value: Json) -> bool:
    return isinstance(value, str) and bool(_METHOD.fullmatch(value.strip().strip("/")))


_lenient = json.JSONDecoder(object_pairs_hook=_all_methods)


def has_headers(names: Iterable[str]) -> bool:
    """Whether one of the transport's own headers is there."""
    return any(name.lower() in _HEADERS for name in names)


def looks_like(body: bytes) -> bool:
    """Whether some server might read an MCP message in this body."""
    if not _WORTH_A_LOOK.search(body):
        return False
    text = body.decode(json.detect_encoding(body), "replace").lstrip("\ufeff \t\r\n\0")
    if text[:1] not in ("{", "["):
        return False
    try:
        value, end = _lenient.raw_decode(text)
    except (ValueError, RecursionError):
        return _smells(text)
    return _is_message(value) or (bool(text[end:].strip()) and _smells(text))


def is_message_object(document: Mapping[str, Json]) -> bool:
    """Whether an object that was read already is an MCP request."""
    return "method" in document and _is_message(dict(document))


def _is_message(value: Json) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, dict) and _is_message(item) for item in value)
    if not isinstance(value, dict):
        return False
    folded = {str(key).strip().casefold(): item for key, item in value.items()}
    if not _is_method(folded.get("method")):
        return False
    return "jsonrpc" in folded or "params" in folded


def _smells(text: str) -> bool:
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text).replace("\\/", "/")
    return bool(_KEYS.search(plain) and _CALLS.search(plain))


def check_headers(payload: Payload, headers: Iterable[tuple[str, str]]) -> None:
    """Checks that the routing headers of 2026-07-28 say what the body says.

    A gateway routes by them, so a body that says something else would be another call than it saw.

    Raises:
        WireError: they disagree, or one stands twice.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        if (key := name.lower()) in _ROUTING:
            if key in found:
                raise WireError(f"MCP: the header {key} stands twice")
            found[key] = value.strip()
    if "mcp-method" not in found and "mcp-name" not in found:
        return
    requests = [message for message in payload.messages if message.method]
    if len(requests) != 1 or payload.is_batch:
        raise WireError("MCP: routing headers, and not one request in the body")
    message = requests[0]
    if found.get("mcp-method", message.method) != message.method:
        raise WireError("MCP: the header mcp-method and the body's method disagree")
    named_by = NAMED_BY.get(message.method)
    if (
        "mcp-name" in found
        and named_by is not None
        and _decoded(found["mcp-name"]) != message.params[named_by]
    ):
        raise WireError("MCP: the header mcp-name and the body's name disagree")


def _decoded(value: str) -> str | None:
    match = _BASE64.fullmatch(value)
    if match is None:
        return value
    try:
        return base64.b64decode(match[1], validate=True).decode()
    except (binascii.Error, ValueError):
        return None
