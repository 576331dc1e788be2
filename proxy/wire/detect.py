"""Which protocol an exchange speaks, told by its path, else by the shape of its body.

What belongs here: who is asked, in which order, and the paths of the three APIs that many others
serve too (Chat, Responses, Messages); every other codec says in its own `claims` which targets are
its. Hosts say nothing: gateways and `--upstream` serve every API from anywhere. A path is read as a lenient server would read it (percent-decoded, slashes collapsed,
case and a trailing slash ignored), so that another spelling of a gated path is gated too.

Not gated, since no call can stand in their answers: `/messages/count_tokens`, `/responses/input_tokens`
(numbers), `/responses/{id}/input_items` and `/chat/completions/{id}/messages` (what the agent sent
itself). Gated: `/responses/{id}` (GET: a stored answer, POST: never), `/responses/{id}/cancel` and
`/responses/compact`, which answer with output items; stored chat completions, listed too; xAI's
`/chat/deferred-completion/{id}`; the items of a conversation (`responses.stored`). Batches (`is_batch`)
answer later, elsewhere and as a file of many answers: no gate reads them, so whoever asks has to
refuse them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.anthropic import protocol as anthropic
from proxy.wire.assistants import protocol as assistants
from proxy.wire.bedrock import protocol as bedrock
from proxy.wire.chat import protocol as chat
from proxy.wire.codec import Target, WireProtocol
from proxy.wire.cohere import protocol as cohere
from proxy.wire.cohere.bare import BareChat
from proxy.wire.gemini import protocol as gemini
from proxy.wire.interactions import protocol as interactions
from proxy.wire.jsontext import decode_object
from proxy.wire.mistral import protocol as mistral
from proxy.wire.ollama import protocol as ollama
from proxy.wire.responses import protocol as responses
from proxy.wire.responses.stored import StoredItemsProtocol

PROTOCOLS: Mapping[str, WireProtocol] = MappingProxyType(
    {
        p.name: p
        for p in (
            chat.PROTOCOL,
            responses.PROTOCOL,
            anthropic.PROTOCOL,
            *gemini.PROTOCOLS,
            *interactions.PROTOCOLS,
            *bedrock.PROTOCOLS,
            *mistral.PROTOCOLS,
            *cohere.PROTOCOLS,
            *ollama.PROTOCOLS,
            *assistants.PROTOCOLS,
        )
    }
)
"""Every protocol by its name."""

_CLAIMS = (
    gemini.claims,
    interactions.claims,
    bedrock.claims,
    mistral.claims,
    cohere.claims,
    ollama.claims,
    assistants.claims,
)
"""Asked in this order, before the paths below; each looks at the target alone."""

# The last segments of a path. What stands ahead of them is a gateway's own affair.
_CHAT = re.compile(r"(?:.*/)?chat/completions(?:/(?P<id>[^/]+))?")
_DEFERRED = re.compile(r"(?:.*/)?chat/deferred-completion/[^/]+")
_ITEMS = re.compile(r"(?:.*/)?conversations/(?P<id>[^/]+)/items(?:/[^/]+)?")
_BARE_CHAT = re.compile(r"(?:.*/)?v1/chat")
_RESPONSES = re.compile(r"(?:.*/)?responses(?:/(?P<id>[^/]+)(?:/(?P<tail>[^/]+))?)?")
_MESSAGES = re.compile(r"(?:.*/)?v1/messages")

_BATCHES = re.compile(
    r"(?:.*/)?v1(?:alpha|beta)?[0-9]*/(?:messages/)?batches(?:/.*)?"
    r"|(?:.*/)?v1/batch/jobs(?:/.*)?"  # Mistral
    r"|(?:.*/)?batchpredictionjobs(?:/.*)?"  # Vertex
    r"|model-invocation-jobs?(?:/.*)?"  # Bedrock
    r"|.*:(?:async)?batchgeneratecontent"
)

_NO_ANSWER = frozenset({"input_tokens"})
_READS = frozenset({"GET", "HEAD"})


def protocol_for(method: str, path: str, body_hint: bytes | None = None) -> WireProtocol | None:
    """Returns the protocol of an exchange; None where the path is not a model API's.

    Args:
        method: the HTTP method.
        path: as on the request line, with or without a query.
        body_hint: the decoded request body, for paths that do not tell alone.
    """
    method = method.upper()
    if method in ("OPTIONS", "DELETE"):
        return None
    raw_path, _, query = path.partition("?")
    where = normalised(path)
    target = Target(method=method, path=where, raw_path=raw_path, query=query)
    for claims in _CLAIMS:
        if found_protocol := claims(target):
            return found_protocol
    if _MESSAGES.fullmatch(where):
        return anthropic.PROTOCOL if method not in _READS else None
    if found := _CHAT.fullmatch(where):
        # With an id a stored completion with its calls; GET without one a list of them.
        return chat.STORED if found["id"] else chat.PROTOCOL
    if _DEFERRED.fullmatch(where):
        return chat.STORED
    if (found := _ITEMS.fullmatch(where)) and method in _READS:
        return StoredItemsProtocol(found["id"])
    if found := _RESPONSES.fullmatch(where):
        return _of_responses(method, found["id"], found["tail"])
    if _BARE_CHAT.fullmatch(where) and method not in _READS:
        # writer.com speaks Chat here; Cohere's old API has the same path and says `message`.
        document = _object(body_hint) if body_hint is not None else None
        if document is not None and "messages" in document and "model" in document:
            return chat.PROTOCOL
        return cohere.V1 if document is not None and "message" in document else BareChat()
    return None


def is_batch(path: str) -> bool:
    """Tells whether a path takes or answers batches, whose calls no gate sees."""
    return _BATCHES.fullmatch(normalised(path)) is not None


def sniff(body: bytes) -> WireProtocol | None:
    """Returns the protocol whose request this body looks like, for POSTs to unknown paths."""
    document = _object(body)
    if document is None or not isinstance(document.get("model"), str):
        return None
    messages = document.get("messages")
    if isinstance(messages, list) and messages:
        if not all(isinstance(m, dict) and isinstance(m.get("role"), str) for m in messages):
            return None
        return anthropic.PROTOCOL if _is_anthropic(document, messages) else chat.PROTOCOL
    if "input" in document and (
        "previous_response_id" in document
        or "instructions" in document
        or "tools" in document
        or "store" in document
        or "stream" in document
        or "reasoning" in document
        or "max_output_tokens" in document
        or _has_roles(document["input"])
    ):
        return responses.PROTOCOL  # model and input alone would be embeddings too
    return None


@lru_cache(maxsize=256)
def normalised(path: str) -> str:
    """Returns the path as the most lenient server reads it, without slashes at its ends."""
    path = re.split(r"[?#]", path, maxsplit=1)[0]
    for _ in range(3):  # a gateway in between may decode once more
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    path = re.sub(r"[;?#][^/]*", "", path.replace("\\", "/"))
    path = posixpath.normpath("/" + re.sub(r"/+", "/", path))
    return path.strip("/ \t\r\n").lower()


def _of_responses(method: str, name: str | None, tail: str | None) -> WireProtocol | None:
    if name in _NO_ANSWER:
        return None
    if tail is not None:
        return responses.PROTOCOL if tail == "cancel" and method not in _READS else None
    if name is None and method in _READS:
        return None  # not an endpoint
    return responses.PROTOCOL


def _object(body: bytes) -> dict[str, Json] | None:
    try:
        return decode_object(body, "body")
    except WireError:
        return None


def _has_roles(value: Json) -> bool:
    return isinstance(value, list) and any(isinstance(i, dict) and "role" in i for i in value)


_ANTHROPIC_BLOCKS = frozenset(
    {"tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use", "document"}
)


def _is_anthropic(document: dict[str, Json], messages: list[Json]) -> bool:
    """Tells Anthropic's shape from Chat's: each has parts that the other does not know."""
    if "system" in document or "anthropic_version" in document:
        return True
    tools = document.get("tools")
    if isinstance(tools, list) and tools:
        named = [t for t in tools if isinstance(t, dict) and "name" in t]
        return bool(named) and not any("function" in t for t in tools if isinstance(t, dict))
    if any(m["role"] in ("system", "developer", "tool", "function") for m in messages):
        return False
    kinds = {
        block.get("type")
        for message in messages
        if isinstance(message.get("content"), list)
        for block in message["content"]
        if isinstance(block, dict)
    }
    return bool(kinds & _ANTHROPIC_BLOCKS)
