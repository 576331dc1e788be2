"""How sure a model was: the log probabilities of tokens, in every shape that answers show them.

What belongs here: finding the numbers. Their mean, and what it means, is `usage.AnswerMeter`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal

from proxy.model import Json

LEAST_LOGPROB = -100.0
"""OpenAI writes -9999 for "very unlikely"."""


def logprobs_in(document: Mapping[str, Json]) -> Iterator[float]:
    for choice in _objects(document.get("choices")):
        yield from _of_tokens(choice.get("logprobs"))
    yield from _of_tokens(document.get("logprobs"))  # Ollama, Cohere v2, Responses' deltas
    output = document.get("output")
    for item in _objects(output):  # Responses as one body; in streams the deltas have told
        for part in _objects(item.get("content")):
            yield from _of_tokens(part.get("logprobs"))
    delta = document.get("delta")
    if isinstance(delta, dict):
        yield from _of_tokens(delta.get("logprobs"))


def _of_tokens(value: Json) -> Iterator[float]:
    """Yields the numbers of any of the shapes that APIs write tokens' log probabilities in."""
    if not value:
        return
    if isinstance(value, dict):
        for key in ("content", "refusal"):  # Chat
            for token in _objects(value.get(key)):
                yield from _number(token.get("logprob"))
        for key in ("token_logprobs", "logprobs"):  # Together's older form, Cohere's
            numbers = value.get(key)
            for number in numbers if isinstance(numbers, list) else ():
                yield from _number(number)
        return
    for token in _objects(value):
        if "logprob" in token:
            yield from _number(token["logprob"])
        else:
            yield from _of_tokens({"logprobs": token.get("logprobs")})


def means_in(document: Mapping[str, Json]) -> Iterator[float]:
    """Yields Gemini's own means, a candidate each."""
    answer = document.get("response")
    for root in (document, answer if isinstance(answer, dict) else {}):
        for candidate in _objects(root.get("candidates")):
            said = list(_number(candidate.get("avgLogprobs")))
            shown = candidate.get("logprobsResult")
            if not said and isinstance(shown, dict):
                tokens = [
                    max(number, LEAST_LOGPROB)
                    for token in _objects(shown.get("chosenCandidates"))
                    for number in _number(token.get("logProbability"))
                ]
                said = [sum(tokens) / len(tokens)] if tokens else []
            yield from said


def _number(value: Json) -> Iterator[float]:
    if type(value) is not bool and isinstance(value, int | float | Decimal):
        try:
            number = float(value)
        except OverflowError:  # an integer of hundreds of digits
            return
        if math.isfinite(number):
            yield number


def _objects(value: Json) -> Iterator[dict[str, Json]]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))
