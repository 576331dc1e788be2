"""How many tokens a model request is, before anybody has read it.

What belongs here: one estimate for every API, made to err upwards: a budget is reserved by it and set
right by the provider's own count. The body's texts are counted with the model's vocabulary where OpenAI
publishes one and with `o200k_base` else, tools as the JSON they are; then comes a factor for the
family, measured on recorded exchanges (docs/spending.md has the table).

Bounded work: a text is counted once and its count remembered by a digest, so that a history that comes
again with each turn costs a hash. Of what is new, `EXACT_CHARS` are counted; a longer text is counted by
samples, and what is left after that at three bytes a token. Pictures and files are no text: a flat
price each, by size for files.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import tiktoken

from proxy.tokens import encoding_for
from proxy.wire.codec import ParsedRequest

EXACT_CHARS = 120_000
"""New text counted exactly in one request: some 25 ms at 5 MB/s."""
_SAMPLE_CHARS, _SAMPLES = 2_000, 8
_LONG = _SAMPLE_CHARS * _SAMPLES
_REMEMBERED = 65_536
_SHORT = 64  # counting these is as quick as remembering them
_BYTES_A_TOKEN = 3  # of text nobody counts: English has four, CJK three
_IMAGE = 1_600
_FILE_CHARS_A_TOKEN = 50  # of base64: a PDF's page has some 2,000 tokens, an audio minute as many
_MOST_DEEP = 200

# What a family's own count is to ours, at the 90th percentile of recorded requests, rounded up.
_FACTORS = (
    ("claude", 130),
    ("gemini", 125),
    ("mistral", 115),
    ("command", 130),
    ("llama", 115),
    ("gpt", 105),
    ("o1", 105),
    ("o3", 105),
    ("o4", 105),
)
_FACTOR_ELSE = 125  # per cent
# What a family's servers put before the prompt once there are tools: (for the first, for each).
_PREAMBLES = (
    ("claude", (600, 60)),
    ("nova", (850, 20)),
    ("command", (1450, 20)),
    ("llama", (650, 20)),
    ("gemini", (60, 40)),
    ("mistral", (20, 20)),
    ("gpt", (40, 40)),
)
_PREAMBLE_ELSE = (150, 40)
_RUN_BY_PROVIDER = 2_400  # a tool of the provider's own, whose definition nobody sees
_A_MESSAGE, _A_REQUEST = 4, 8

_SETTINGS = frozenset(
    {"model", "stream", "stream_options", "temperature", "top_p", "metadata", "store", "user"}
    | {"include", "service_tier", "prompt_cache_key", "safety_identifier", "session_id"}
    | {"generationConfig", "generation_config", "inferenceConfig", "safetySettings", "options"}
)
_DEFINITIONS = frozenset({"tools", "functions", "toolConfig", "tool_config", "response_format"})
_MARKS = frozenset(
    {"role", "type", "id", "tool_call_id", "call_id", "tool_use_id", "toolUseId", "cache_control"}
    | {"signature", "thoughtSignature", "encrypted_content", "status", "mimeType", "media_type"}
)
_VALUES = frozenset({"input", "arguments", "args", "parameters", "response", "json"})
_TEXTS = frozenset({"content", "text", "output", "arguments", "input", "thinking", "prompt"})
_IMAGES = frozenset({"image", "image_url", "input_image"})


def count_request(parsed: ParsedRequest, body: bytes) -> int:
    """Returns how many input tokens a request will be, rather too many than too few.

    Args:
        parsed: the request as its codec read it.
        body: the decoded body, JSON (the codec has read it).
    """
    counter = _Counter(encoding_for(parsed.model))
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return len(body)  # no codec passes what is no JSON; one byte a token is above anything
    if isinstance(document, dict):
        counter.body(document, 0)
    family = _family(parsed)
    factor = next((per_cent for name, per_cent in _FACTORS if name in family), _FACTOR_ELSE)
    counted = -(-(counter.tokens + _A_REQUEST) * factor // 100)
    tools = len(parsed.tools)
    if tools:
        found = (preamble for name, preamble in _PREAMBLES if name in family)
        first, each = next(found, _PREAMBLE_ELSE)
        counted += first + each * tools + _RUN_BY_PROVIDER * counter.provided
    return counted


def count_text(text: str, model: str | None = None) -> int:
    """Returns how many tokens a model's own text is, with the same bounds and no factor."""
    counter = _Counter(encoding_for(model))
    counter.text(text)
    return counter.tokens


def _family(parsed: ParsedRequest) -> str:
    """Returns a text that names the model's family: whose API it is says it first."""
    apis = (("anthropic", "claude"), ("google", "gemini"), ("cohere", "command"))
    native = next((family for api, family in apis if parsed.provider.startswith(api)), None)
    return native or (parsed.model or "").lower()


@dataclass(slots=True)
class _Counter:
    """Adds up one request."""

    encoding: tiktoken.Encoding
    tokens: int = 0
    left: int = EXACT_CHARS  # characters that may still be counted exactly
    provided: int = 0  # tools that the provider runs itself

    def body(self, document: Mapping[str, Any], depth: int) -> None:
        for key, value in document.items():
            if key in _SETTINGS:
                continue
            if key in _DEFINITIONS:
                self.text(_json(value))
                self.provided += sum(map(_is_provided, value if isinstance(value, list) else ()))
            elif key == "request" and isinstance(value, dict) and not depth:
                self.body(value, 1)  # Cloud Code's envelope
            else:
                self.walk(value, key, 0)

    def walk(self, value: object, key: str, depth: int) -> None:
        if isinstance(value, str):
            self.tokens += self._blob(value) if _is_blob(value, key) else 0
            if not _is_blob(value, key):
                self.text(value)
        elif depth > _MOST_DEEP:
            self.text(_json(value))
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    self.tokens += _A_MESSAGE if depth == 0 else 0
                self.walk(item, key, depth + 1)
        elif isinstance(value, dict):
            if value.get("type") in _IMAGES:
                self.tokens += _IMAGE
                return
            for name, inner in value.items():
                if name in _MARKS:
                    continue
                if name in _VALUES and isinstance(inner, dict):
                    self.text(_json(inner))
                else:
                    self.walk(inner, name, depth + 1)

    def text(self, text: str) -> None:
        if len(text) <= _SHORT:
            self.tokens += self._encode(text)
            return
        known = _memory.get(self.encoding.name, text)
        if known is None:
            known = self._count(text)
            _memory.put(self.encoding.name, text, known)
        self.tokens += known

    def _count(self, text: str) -> int:
        if self.left <= 0:
            return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN)
        if len(text) <= max(_LONG, self.left):
            self.left -= len(text)
            return self._encode(text)
        step = (len(text) - _SAMPLE_CHARS) // (_SAMPLES - 1)
        samples = [text[n * step : n * step + _SAMPLE_CHARS] for n in range(_SAMPLES)]
        self.left -= _LONG
        return -(-sum(map(self._encode, samples)) * len(text) * 11 // (_LONG * 10))

    def _encode(self, text: str) -> int:
        if not text:
            return 0
        return len(self.encoding.encode_ordinary(text))

    @staticmethod
    def _blob(value: str) -> int:
        image = value.startswith(("data:image/", "iVBOR", "/9j/", "R0lGOD"))
        return _IMAGE if image else max(_IMAGE, len(value) // _FILE_CHARS_A_TOKEN)


class _Memory:
    """Counts by a digest of the text: the texts themselves are not kept."""

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()

    @staticmethod
    def _name(encoding: str, text: str) -> bytes:
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=16, person=encoding.encode()[:16]).digest()

    def get(self, encoding: str, text: str) -> int | None:
        with self._lock:
            return self._counts.get(self._name(encoding, text))

    def put(self, encoding: str, text: str, count: int) -> None:
        with self._lock:
            self._counts[self._name(encoding, text)] = count
            if len(self._counts) > _REMEMBERED:
                self._counts.popitem(last=False)


_memory = _Memory()


def _is_blob(value: str, key: str) -> bool:
    """Whether a long text is a file in base64: where text stands it is text, whatever it looks like."""
    if value.startswith("data:") and ";base64," in value[:128]:
        return True
    return len(value) > 1024 and key not in _TEXTS and not any(c in value[:1024] for c in " \n{<")


def _is_provided(tool: object) -> bool:
    kind = tool.get("type") if isinstance(tool, dict) else None
    return isinstance(kind, str) and kind not in ("function", "custom", "namespace")


def _json(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode("utf-8", "replace")
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return repr(value)[: 1 << 20]
