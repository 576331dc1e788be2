"""The gate over a streamed answer of Cohere's v2.

How it works. A call is a run of frames: `tool-call-start` (id, name), `tool-call-delta` (pieces of the
arguments), `tool-call-end`. They wait until the call is whole and ruled on. Calls come one after the
other; an event that opens a second one, or speaks of one that is not open, could be read in two ways
(by index, or by who began last) and ends the stream. A refused call's frames are dropped, later calls
get dense indexes, and a content block says why ahead of `message-end`.

`cohere` for Python passes over events that it cannot read and knows no error event: `fail` is a
`message-end` whose finish reason is ERROR.
Source: https://docs.cohere.com/reference/chat-stream (read 2026-11).
"""

from __future__ import annotations

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.cohere.v2_calls import (
    ENTRY,
    MESSAGE,
    call_of,
    finish_without_calls,
    memory_of,
)
from proxy.wire.frame_gate import (
    FrameGate,
    Held,
    StreamedCall,
    read_document,
    refuse_ambiguous,
    refuse_odd_case,
    refuse_odd_lines,
)
from proxy.wire.jsontext import encode
from proxy.wire.sse import Frame, SseReader, frame_bytes

_WHAT = "cohere.v2 stream"
_OUTER = frozenset({"type", "index", "delta", "id", "message", "tool_calls"})
_DELTA = frozenset({"message", "finish_reason", "tool_calls"})
_INDEXED = frozenset({"tool-call-start", "tool-call-delta", "tool-call-end"})


class CohereStreamGate(FrameGate):
    """Holds back the frames of calls."""

    def __init__(self, *, ref: str) -> None:
        super().__init__(what=_WHAT, ref=ref, reader=SseReader())
        self._first = True
        self._response_id: str | None = None
        self._calls: list[StreamedCall] = []
        self._open: StreamedCall | None = None
        self._plan: list[str] = []
        self._content: dict[int, dict[str, Json]] = {}
        self._told = 0  # how many of the calls' refusals the client has read

    # --- reading ---------------------------------------------------------------------------

    def read(self, frame: Frame) -> Held:
        refuse_odd_lines(frame, _WHAT, first=self._first)
        self._first = False
        data = frame.data
        if data is None or not data.strip() or data.strip() == b"[DONE]":
            return Held(frame)
        lowered = data.lower()
        plain = not any(mark in lowered for mark in (b"tool-call", b"tool_call", b"\\u"))
        document = read_document(data, _WHAT, plain=plain)
        if not plain:
            refuse_ambiguous(document, _WHAT)
        held = Held(frame, document)
        refuse_odd_case(document, _OUTER, _WHAT)
        kind = document.get("type")
        delta = _object(document.get("delta"), "$.delta")
        refuse_odd_case(delta, _DELTA, _WHAT)
        message = _object(delta.get("message"), "$.delta.message")
        refuse_odd_case(message, MESSAGE, _WHAT)
        if kind in _INDEXED:
            self._of_call(held, str(kind), document, message)
        elif any(m.get("tool_calls") for m in (document, delta, message)):
            raise WireError(f"{_WHAT}: tool calls in an event of type {kind!r}")
        elif kind == "message-start":
            self._response_id = document["id"] if isinstance(document.get("id"), str) else None
        elif kind == "message-end":
            self._cut_open(delta.get("finish_reason"))
        else:
            self._note(document, message)
        return held

    def _of_call(
        self, held: Held, kind: str, document: dict[str, Json], message: dict[str, Json]
    ) -> None:
        entry = _object(message.get("tool_calls"), "$.delta.message.tool_calls")
        function = _object(entry.get("function"), "$.delta.message.tool_calls.function")
        refuse_odd_case(entry, ENTRY, _WHAT)
        refuse_odd_case(function, ENTRY, _WHAT)
        index = document.get("index")
        if kind == "tool-call-start":
            self._start(index, entry, function)
        call = self._open
        if call is None or (index is not None and index != call.index):
            raise WireError(f"{_WHAT}: {kind} of a call that is not open")
        held.calls.append(call)
        if kind == "tool-call-delta":
            if entry.get("id") or function.get("name"):
                raise WireError(f"{_WHAT}: a delta that names a call anew")
            call.texts.append(_text(function.get("arguments"), "arguments"))
        elif kind == "tool-call-end":
            if entry:
                raise WireError(f"{_WHAT}: an end that carries a part of a call")
            call.entry["function"]["arguments"] = "".join(call.texts)
            self._open = None
            found = call_of(call.entry, self._response_id, _WHAT)
            call.id = found.id
            self.found(call, found)

    def _start(self, index: Json, entry: dict[str, Json], function: dict[str, Json]) -> None:
        if self._open is not None:
            raise WireError(f"{_WHAT}: a call begins inside of another")
        if index is None:
            index = len(self._calls)
        if type(index) is not int or any(call.index == index for call in self._calls):
            raise WireError(f"{_WHAT}: tool-call-start with the index {index!r}")
        name = _text(function.get("name"), "name")
        kept = {k: v for k, v in entry.items() if k != "function"}
        call = StreamedCall(
            index=index,
            name=name,
            texts=[_text(function.get("arguments"), "arguments")],
            entry=kept | {"function": {"name": name}},
        )
        self._open = call
        self._calls.append(call)

    def _cut_open(self, reason: Json) -> None:
        if self._open is not None:
            text = (
                f"[checkrein] The call {self._open.name} did not run: the answer was cut off inside "
                f"it (finish_reason {reason}). Make the call again, shorter."
            )
            self.cut_off(self._open, text)
            self._open = None

    def _note(self, document: dict[str, Json], message: dict[str, Json]) -> None:
        """Keeps what the message says besides its calls: a refusal needs the whole of it later."""
        if isinstance(plan := message.get("tool_plan"), str):
            self._plan.append(plan)
        index = document.get("index")
        if not isinstance(index, int) or not str(document.get("type")).startswith("content-"):
            return
        block = self._content.setdefault(index, {"type": "text"})
        content = message.get("content")
        for key, value in content.items() if isinstance(content, dict) else ():
            if key in ("text", "thinking") and isinstance(value, str):
                block[key] = block.get(key, "") + value
            elif key == "type":
                block[key] = value

    def open_calls(self) -> list[StreamedCall]:
        return [self._open] if self._open is not None else []

    # --- writing ---------------------------------------------------------------------------

    def write(self, held: Held) -> bytes:
        document = held.document
        if document is None:
            return held.frame.raw
        if held.calls:
            call = held.calls[0]
            if call.refusal is not None:
                return b""
            left = [c for c in self._calls if c.refusal is None]
            place = left.index(call)
            if document.get("index") in (None, place):
                return held.frame.raw
            return frame_bytes(encode(document | {"index": place}), held.frame.event)
        if document.get("type") != "message-end":
            return held.frame.raw
        words = self.last_words()
        if any(call.refusal is None for call in self._calls):
            return words + held.frame.raw
        delta = document.get("delta")
        if isinstance(delta, dict):
            finish_without_calls(delta)
        return words + frame_bytes(encode(document), held.frame.event)

    def last_words(self) -> bytes:
        """Says why calls are missing, in a content block of its own."""
        texts = [c.refusal for c in self._calls if c.refusal is not None][self._told :]
        if not texts:
            return b""
        self._told += len(texts)
        index = max(self._content, default=-1) + 1
        self._content[index] = {}  # ours is not kept, its place is
        start = {"type": "text", "text": ""}
        text = {"text": "\n\n".join(texts)}
        return b"".join(
            frame_bytes(encode({"type": kind, "index": index, **more}), kind)
            for kind, more in (
                ("content-start", {"delta": {"message": {"content": start}}}),
                ("content-delta", {"delta": {"message": {"content": text}}}),
                ("content-end", {}),
            )
        )

    def memory(self) -> RefusedResponse:
        whole = [call for call in self._calls if call.call is not None]
        blocks = [b for _, b in sorted(self._content.items()) if b.get("text") or b.get("thinking")]
        return memory_of(
            self._ref,
            {"content": blocks, "tool_plan": "".join(self._plan)},
            [call.entry for call in whole],
            [RefusedCall(c.id, c.name, "function", c.refusal) for c in whole if c.refusal],
            [c.entry.get("id") for c in whole if c.refusal is None],
        )

    def keepalive(self) -> bytes:
        return b": checkrein\n\n"

    def fail(self, text: str) -> bytes:
        delta = {"finish_reason": "ERROR", "error": text}
        return frame_bytes(encode({"type": "message-end", "delta": delta}), "message-end")


def _object(value: Json, where: str) -> dict[str, Json]:
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise WireError(f"{_WHAT}: {where}: expected an object")
    return value


def _text(value: Json, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WireError(f"{_WHAT}: {where}: expected text")
    return value
