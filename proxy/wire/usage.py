"""What an answer says of itself: the tokens it used, and how sure the model was.

What belongs here: `Usage`, one meaning for the counts of every API, and the `AnswerMeter` that a gate
shows the documents it reads anyway (the whole body, or one frame after another). A meter never stops an
answer: what it cannot read it passes over. Counts are totals: `input_tokens` has what was read from a
cache and what was written to one in it, `output_tokens` has the reasoning in it.

Where the counts stand (all read 2026-11):
- OpenAI Chat and the compatibles, Mistral, Groq (`x_groq`): `usage`, in streams in the last chunk;
  https://platform.openai.com/docs/api-reference/chat/object
- Responses and Realtime: `response.usage` of the last event; Assistants: the run's `usage`
- Anthropic: `message.usage` at the start, `usage` of `message_delta`, whose counts are cumulative, and
  whose `input_tokens` leave the cache out; https://docs.claude.com/en/docs/build-with-claude/streaming
- Gemini: `usageMetadata`, the last one counts; thoughts and tool prompts stand beside the totals;
  https://ai.google.dev/api/generate-content#UsageMetadata
- Bedrock: Converse's `usage` (leaves the cache out too), the last chunk's
  `amazon-bedrock-invocationMetrics`, and headers (`usage_of_headers`)
- Cohere: `usage.tokens` (v2), `meta.tokens` (v1); Ollama: `prompt_eval_count`, `eval_count`

Confidence is the geometric mean of the tokens' probabilities, over all tokens whose log probability the
answer shows: e^mean(logprob), which is what Gemini calls `avgLogprobs`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from proxy.model import Json
from proxy.wire.logprobs import LEAST_LOGPROB, logprobs_in, means_in

_MOST_TOKENS = 1 << 40
"""No answer has more; a larger number is no count."""
_HOLDERS = ("response", "message", "delta", "interaction", "meta", "metadata", "x_groq")
_METRICS = "amazon-bedrock-invocationMetrics"

# Where a count stands in a usage object; the first that is there counts, "a.b" is b inside a.
_INPUT = (
    "prompt_tokens",
    "input_tokens",
    "inputTokens",
    "promptTokenCount",
    "prompt_token_count",
    "prompt_eval_count",
    "total_input_tokens",
    "inputTokenCount",
    "inputTextTokenCount",
    "tokens.input_tokens",
    "billed_units.input_tokens",
)
_OUTPUT = (
    "completion_tokens",
    "output_tokens",
    "outputTokens",
    "candidatesTokenCount",
    "candidates_token_count",
    "eval_count",
    "total_output_tokens",
    "outputTokenCount",
    "generation_token_count",
    "tokens.output_tokens",
    "billed_units.output_tokens",
)
_CACHED = (
    "prompt_tokens_details.cached_tokens",
    "input_tokens_details.cached_tokens",
    "input_token_details.cached_tokens",
    "cache_read_input_tokens",
    "cacheReadInputTokens",
    "cacheReadInputTokenCount",
    "cachedContentTokenCount",
    "cached_content_token_count",
    "total_cached_tokens",
    "prompt_cache_hit_tokens",
    "num_cached_tokens",
    "cached_tokens",
)
_WRITTEN = (
    "cache_creation_input_tokens",
    "cacheWriteInputTokens",
    "cacheWriteInputTokenCount",
    "prompt_tokens_details.cache_write_tokens",
    "input_tokens_details.cache_write_tokens",
)
_REASONING = (
    "completion_tokens_details.reasoning_tokens",
    "output_tokens_details.reasoning_tokens",
    "output_tokens_details.thinking_tokens",
    "thoughtsTokenCount",
    "thoughts_token_count",
    "total_thought_tokens",
)
# These stand beside the totals, not in them.
_CACHE_APART = frozenset(
    {"cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount"}
    | {"cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount"}
)
_THOUGHTS_APART = frozenset({"thoughtsTokenCount", "thoughts_token_count", "total_thought_tokens"})
_TOOL_PROMPTS = ("toolUsePromptTokenCount", "tool_use_prompt_token_count", "total_tool_use_tokens")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer (of all its messages), as the provider counted them."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0  # part of the input, read from a cache
    cache_write_tokens: int = 0  # part of the input, written to a cache
    reasoning_tokens: int = 0  # part of the output
    model: str | None = None  # the one that answered
    estimated: bool = False  # counted here, the provider said nothing

    def plus(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            other.model or self.model,
            self.estimated or other.estimated,
        )


class AnswerMeter:
    """Reads usage and confidence from the documents of one answer, in order."""

    __slots__ = ("_before", "_counts", "_logprobs", "_mean", "_model", "_stopped", "_tokens")

    def __init__(self) -> None:
        self._counts: dict[str, Json] = {}
        self._before: Usage | None = None  # of the messages before this one
        self._model: str | None = None
        self._stopped = False  # a `message_stop` came: a new start is a new message
        self._logprobs = 0.0
        self._tokens = 0
        self._mean: float | None = None  # where the API says it itself

    @property
    def usage(self) -> Usage | None:
        """Returns what was used so far, None while the answer has not said it."""
        now = usage_of(self._counts, self._model) if self._counts else None
        if self._before is None or now is None:
            return now or self._before
        return self._before.plus(now)

    @property
    def confidence(self) -> float | None:
        """Returns the mean probability of a token so far, None where the answer shows none."""
        mean = self._mean
        if mean is None:
            if not self._tokens:
                return None
            mean = self._logprobs / self._tokens
        return math.exp(min(mean, 0.0))

    def read(self, document: Mapping[str, Json]) -> None:
        """Takes what a document says; anything odd in it is passed over."""
        if document.get("object") == "thread.run.step":
            return  # a step's share of what its run says
        kind = document.get("type")
        if kind == "message_stop":
            self._stopped = True
        elif kind == "message_start" and self._stopped:
            self._next_message()
        for holder in self._holders(document):
            for key in ("model", "modelVersion"):
                if isinstance(name := holder.get(key), str) and name:
                    self._model = name
            for key in ("usage", "usageMetadata", "usage_metadata", _METRICS):
                if isinstance(counts := holder.get(key), dict):
                    self._add(counts)
            if "eval_count" in holder or "generation_token_count" in holder:
                self._add(holder)
            elif "inputTextTokenCount" in holder:
                made = _titan_output(holder)
                self._add({**holder, "eval_count": made} if made else holder)
            elif holder is not document and isinstance(holder.get("tokens"), dict):
                self._add(holder)  # Cohere's `meta`
        for logprob in logprobs_in(document):
            self._logprobs += max(logprob, LEAST_LOGPROB)
            self._tokens += 1
        for mean in means_in(document):
            self._mean = mean if self._mean is None else min(self._mean, mean)

    @staticmethod
    def _holders(document: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
        yield document
        for key in _HOLDERS:
            held = document.get(key)
            if isinstance(held, dict):
                yield held
                if key == "response" and isinstance(meta := held.get("meta"), dict):
                    yield meta  # Cohere v1's `stream-end`

    def _add(self, counts: Mapping[str, Json]) -> None:
        # Later counts are cumulative; a key that is left out keeps its value.
        for key, value in counts.items():
            if isinstance(value, dict):
                known = self._counts.get(key)
                old = known if isinstance(known, dict) else {}
                self._counts[key] = {**old, **{k: v for k, v in value.items() if v is not None}}
            elif type(value) is int or type(value) is Decimal or type(value) is float:
                self._counts[key] = value

    def _next_message(self) -> None:
        """A body may hold several messages of Anthropic's, one after the other."""
        self._before, self._counts, self._stopped = self.usage, {}, False


class Metered:
    """The part of a gate that meters (`codec.ResponseGate.usage` and `.confidence`)."""

    _meter: AnswerMeter

    @property
    def usage(self) -> Usage | None:
        return self._meter.usage

    @property
    def confidence(self) -> float | None:
        return self._meter.confidence


def usage_of(counts: Mapping[str, Json], model: str | None = None) -> Usage | None:
    """Returns the one meaning of an API's usage object; None where it has no count."""
    given, _ = _count(counts, _INPUT)
    made, _ = _count(counts, _OUTPUT)
    reasoning, thought_key = _count(counts, _REASONING)
    if given is None and made is None and reasoning is None:
        return None
    cached, cached_key = _count(counts, _CACHED)
    written, written_key = _count(counts, _WRITTEN)
    tool_prompts, _ = _count(counts, _TOOL_PROMPTS)
    apart = sum(
        n or 0 for n, key in ((cached, cached_key), (written, written_key)) if key in _CACHE_APART
    )
    total = (given or 0) + apart + (tool_prompts or 0)
    output = (made or 0) + ((reasoning or 0) if thought_key in _THOUGHTS_APART else 0)
    # A part is never more than the whole, whatever was said.
    cached_in = min(cached or 0, total)
    written_in = min(written or 0, total - cached_in)
    return Usage(total, output, cached_in, written_in, min(reasoning or 0, output), model)


def usage_of_headers(headers: Mapping[str, str], model: str | None = None) -> Usage | None:
    """Returns what Bedrock's InvokeModel says in its answer's headers, for models that say nothing."""
    name = "x-amzn-bedrock-{}-token-count"
    counts: dict[str, Json] = {}
    for kind in ("input", "output"):
        text = headers.get(name.format(kind), "")
        if text.isascii() and text.isdigit() and len(text) < 16:
            counts[f"{kind}_tokens"] = int(text)
    return usage_of(counts, model) if counts else None


def with_model(usage: Usage, model: str | None) -> Usage:
    """Returns the usage with the model that the request named, where the answer named none."""
    return usage if usage.model is not None else replace(usage, model=model)


def _count(counts: Mapping[str, Json], names: Iterable[str]) -> tuple[int | None, str]:
    for name in names:
        holder, dot, key = name.partition(".")
        value = counts.get(holder)
        if dot:
            value = value.get(key) if isinstance(value, dict) else None
        if type(value) is bool or not isinstance(value, int | float | Decimal):
            continue
        if 0 <= value <= _MOST_TOKENS:  # also keeps NaN out
            return math.ceil(value), name
    return None, ""


def _titan_output(answer: Mapping[str, Json]) -> int:
    results = answer.get("results")
    listed = results if isinstance(results, list) else [answer]
    counts = [
        one.get("tokenCount", one.get("totalOutputTextTokenCount"))
        for one in listed
        if isinstance(one, Mapping)
    ]
    return sum(n for n in counts if type(n) is int and 0 <= n <= _MOST_TOKENS)
