"""Refused calls put back into a Chat history, each with its failed result.

What belongs here: finding the assistant message that a refusal was taken from, and making it whole,
so that every call in the history has its result: “An assistant message with 'tool_calls' must be
followed by tool messages responding to each 'tool_call_id'” (the API's own 400; openai-python and
community threads, read 2026-11). Calls are matched by id, never by position; only the messages that
change are written anew, all other bytes of the body stay.

The client sends the stripped history again at every turn, so this happens at every turn. What is
there already is not added twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.chat.request import RAW, message_text
from proxy.wire.codec import ParsedRequest, RefusedCall, RefusedResponse
from proxy.wire.jsontext import encode

# Fields that some providers want back with the calls they came with (DeepSeek, Kimi, OpenRouter:
# https://openrouter.ai/docs/use-cases/reasoning-tokens, read 2026-11); clients drop them from a
# message that, for all they saw, was the final one.
_WANTED_BACK = ("reasoning_content", "reasoning_details")


_MISTRAL_ID = re.compile(r"[a-zA-Z0-9]{9}")


def restore(request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
    """Returns the body with what the memories hold put back; None when nothing changes.

    Raises:
        WireError: the body is not what `chat_request.parse` read.
    """
    if not memories:
        return None
    try:
        body = msgspec.json.decode(request.document[RAW], type=dict[str, msgspec.Raw])
        raws = msgspec.json.decode(body["messages"], type=list[msgspec.Raw])
        history = _History([bytes(raw) for raw in raws])
        for memory in memories:
            _apply(history, memory)
        if not history.changed:
            return None
        body["messages"] = msgspec.Raw(history.encoded())
        return encode(body)
    except (msgspec.MsgspecError, KeyError, UnicodeError, RecursionError) as error:
        raise WireError("openai.chat request: refused calls could not be put back") from error


class _History:
    """The messages, decoded only where somebody looks."""

    def __init__(self, raws: list[bytes]) -> None:
        self._raws: list[bytes | None] = list(raws)  # None: added or changed
        self._messages: list[dict[str, Json] | None] = [None] * len(raws)
        self.changed = False

    def holding(self, needles: Sequence[bytes]) -> Iterator[tuple[int, dict[str, Json]]]:
        """Assistant messages whose bytes hold one of the needles, oldest first."""
        for n, raw in enumerate(self._raws):
            if raw is None or any(needle in raw for needle in needles):
                message = self.at(n)
                if message.get("role") == "assistant":
                    yield n, message

    def at(self, n: int) -> dict[str, Json]:
        message = self._messages[n]
        if message is None:
            message = msgspec.json.decode(self._raws[n] or b"{}", type=dict[str, Json])
            self._messages[n] = message
        return message

    def results_after(self, n: int) -> Iterator[dict[str, Json]]:
        """The results that directly follow the message at `n`."""
        for k in range(n + 1, len(self._messages)):
            message = self.at(k)
            if message.get("role") not in ("tool", "function"):
                return
            yield message

    def role(self, n: int) -> Json:
        """The role of the message at `n`; None behind the last one."""
        return self.at(n).get("role") if n < len(self._messages) else None

    def replace(self, n: int, message: dict[str, Json]) -> None:
        if message != self._messages[n]:
            self._messages[n], self._raws[n] = message, None
            self.changed = True

    def insert(self, n: int, message: dict[str, Json]) -> None:
        self._messages.insert(n, message)
        self._raws.insert(n, None)
        self.changed = True

    def encoded(self) -> bytes:
        return encode(
            [
                self._messages[n] if raw is None else msgspec.Raw(raw)
                for n, raw in enumerate(self._raws)
            ]
        )


def _apply(history: _History, memory: RefusedResponse) -> None:
    original = memory.original
    if isinstance(original, list):  # several choices were asked for (`n`); the client kept one
        said = [message_text(m.get("content")) for _, m in history.holding([memory.ref.encode()])]
        told = (
            one
            for one in original
            if any(r.text in text for r in _refused_of(one, memory.refused) for text in said)
        )
        original = next(told, original[0])
    refused = _refused_of(original, memory.refused)
    found = _find(history, memory.ref, original, refused)
    if found is None:
        return
    n, message = found
    answered = [_answers(result) for result in history.results_after(n)]
    history.replace(n, _whole_message(message, memory.ref, original, refused))
    results = [r for r in map(_failed_result, refused) if _answers(r) not in answered]
    for offset, result in enumerate(results, start=1):
        history.insert(n + offset, result)
    behind = n + 1 + len(answered) + len(results)
    if _wants_an_answer(refused) and history.role(behind) == "user":
        # The agent took the refusal for the answer, so it is the model's word between the two.
        word = "\n\n".join(r.text for r in refused)
        history.insert(behind, {"role": "assistant", "content": word})


def _wants_an_answer(refused: Sequence[RefusedCall]) -> bool:
    """Whether the provider is Mistral, told by its ids: “Unexpected role 'user' after role 'tool'”.

    vLLM gives its Mistral models ids of that form too, and their chat template refuses the same.
    """
    return any(_MISTRAL_ID.fullmatch(r.call_id or "") for r in refused)


def _refused_of(original: dict[str, Json], refused: Sequence[RefusedCall]) -> list[RefusedCall]:
    ids = {entry.get("id") for entry in original.get("tool_calls") or []}
    legacy = original.get("function_call") is not None
    return [r for r in refused if (legacy if r.call_id is None else r.call_id in ids)]


def _find(
    history: _History, ref: str, original: dict[str, Json], refused: Sequence[RefusedCall]
) -> tuple[int, dict[str, Json]] | None:
    """The message with a refusal's whole text; else one that has the calls back already; else the
    oldest with the reference (the model may quote it later on); else one with a sibling call.
    """
    if not refused:
        return None
    by_ref = list(history.holding([ref.encode()]))
    with_text = [(n, m, message_text(m.get("content"))) for n, m in by_ref]
    for n, message, text in with_text:
        if any(r.text in text for r in refused):
            return n, message
    gone = {r.call_id for r in refused}
    entries = original.get("tool_calls") or []
    named = next(((n, m) for n, m, text in with_text if ref in text), None)
    return (
        _with_call(history, [entry for entry in entries if entry.get("id") in gone])
        or (_with_legacy_call(history, original.get("function_call")) if None in gone else None)
        or named
        or _with_call(history, [entry for entry in entries if entry.get("id") not in gone])
    )


def _with_call(
    history: _History, entries: Sequence[dict[str, Json]]
) -> tuple[int, dict[str, Json]] | None:
    """The oldest message with one of these calls."""
    wanted = {(entry.get("id"), _name(entry)) for entry in entries}
    for n, message in history.holding([str(entry.get("id")).encode() for entry in entries]):
        if any((e.get("id"), _name(e)) in wanted for e in message.get("tool_calls") or []):
            return n, message
    return None


def _with_legacy_call(history: _History, call: Json) -> tuple[int, dict[str, Json]] | None:
    found = history.holding([b"function_call"])
    return next(((n, m) for n, m in found if m.get("function_call") == call), None)


def _name(entry: dict[str, Json]) -> Json:
    """A call's name: an id alone may have come again for another call (tau-bench)."""
    return (entry.get("function") or entry.get("custom") or {}).get("name")


def _whole_message(
    message: dict[str, Json], ref: str, original: dict[str, Json], refused: list[RefusedCall]
) -> dict[str, Json]:
    made = dict(message)
    texts = [r.text for r in refused]
    if ref in message_text(message.get("content")):
        made["content"] = _without(message.get("content"), texts, ref, original.get("content"))
    entries = original.get("tool_calls") or []
    if entries:
        made["tool_calls"] = _merged(message.get("tool_calls") or [], entries, refused)
        if not made["tool_calls"]:
            del made["tool_calls"]
    if any(r.call_id is None for r in refused) and made.get("function_call") is None:
        made["function_call"] = original.get("function_call")
    for key in _WANTED_BACK:
        if made.get(key) is None and original.get(key) is not None:
            made[key] = original[key]
    return made


def _merged(
    present: list[dict[str, Json]], entries: list[dict[str, Json]], refused: list[RefusedCall]
) -> list[dict[str, Json]]:
    """The refused calls among those the client kept, in the order in which the model made them."""
    kept = {entry.get("id"): entry for entry in present}
    gone = {r.call_id for r in refused}
    merged: list[dict[str, Json]] = []
    for entry in entries:
        call_id = entry.get("id")
        if call_id in kept:
            merged.append(kept.pop(call_id))
        elif call_id in gone:
            merged.append(_sendable(entry))
    return [*merged, *(entry for entry in present if entry.get("id") in kept)]


def _sendable(entry: dict[str, Json]) -> dict[str, Json]:
    """The call with arguments that are JSON: some servers (vLLM) parse a history's arguments."""
    function = entry.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
        return entry
    if not function["arguments"].strip():
        return entry | {"function": function | {"arguments": "{}"}}
    try:
        msgspec.json.decode(function["arguments"])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        text = encode({"not_json": function["arguments"]}).decode()
        return entry | {"function": function | {"arguments": text}}
    return entry


def _without(content: Json, texts: list[str], ref: str, original: Json) -> Json:
    """The content without our texts; the original one where the client kept nothing else."""
    if isinstance(content, str):
        left = _cut(content, texts, ref)
        was = original.strip() if isinstance(original, str) else ""
        return original if left in ("", was) else left
    kept: list[Json] = []
    for part in content if isinstance(content, list) else []:
        text = part.get("text") if isinstance(part, dict) else None
        if not isinstance(text, str) or ref not in text:
            kept.append(part)
        elif left := _cut(text, texts, ref):
            kept.append(part | {"text": left})
    return kept or original


def _cut(text: str, texts: list[str], ref: str) -> str:
    for ours in texts:
        text = text.replace(ours, "")
    if (
        ref in text
    ):  # the client changed its spaces: the paragraphs that hold the reference are ours
        text = "\n\n".join(part for part in text.split("\n\n") if ref not in part)
    return text.strip()


def _failed_result(refused: RefusedCall) -> dict[str, Json]:
    if refused.call_id is None:
        return {"role": "function", "name": refused.name, "content": refused.text}
    return {"role": "tool", "tool_call_id": refused.call_id, "content": refused.text}


def _answers(result: dict[str, Json]) -> tuple[str, Json]:
    if result.get("role") == "function":
        return "function", result.get("name")
    return "tool", result.get("tool_call_id")
