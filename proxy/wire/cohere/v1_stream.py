"""The gate over a streamed answer of Cohere's v1: lines of JSON, or the same in server-sent events.

How it works. The calls come up to three times: in pieces (`tool-calls-chunk`), whole
(`tool-calls-generation`), and in the whole answer at the end (`stream-end`). They are reported where they
are first whole; pieces wait for that, and what comes again has to be the same. A refused call is taken
out of all three; a `text-generation` event says why.

`cohere` for Python passes over a line that it cannot read and has no error event: `fail` is a
`stream-end` whose finish reason is ERROR.
Source: https://docs.cohere.com/v1/docs/streaming (read 2026-11).
"""

from __future__ import annotations

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.cohere.v1_calls import (
    ANSWER,
    ENTRY,
    call_of,
    calls_of,
    entries_of,
    last_said,
    memory_of,
    take_out,
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
from proxy.wire.jsontext import call_from_text, encode
from proxy.wire.ndjson import KEEPALIVE, NdjsonReader, line_bytes
from proxy.wire.sse import Frame, SseReader, frame_bytes

_WHAT = "cohere.v1 stream"
_OUTER = frozenset({"event_type", "text", "tool_calls", "tool_call_delta", "response"})


class CohereV1StreamGate(FrameGate):
    """Holds back the frames of calls."""

    def __init__(self, *, ref: str, lines: bool) -> None:
        super().__init__(what=_WHAT, ref=ref, reader=NdjsonReader() if lines else SseReader())
        self._lines = lines
        self._first = True
        self._pieces: dict[int, StreamedCall] = {}
        self._calls: list[StreamedCall] = []  # whole
        self._said: list[str] = []
        self._told = 0

    # --- reading ---------------------------------------------------------------------------

    def read(self, frame: Frame) -> Held:
        if not self._lines:
            refuse_odd_lines(frame, _WHAT, first=self._first)
            self._first = False
        data = frame.data
        if data is None or not data.strip() or data.strip() == b"[DONE]":
            return Held(frame)
        lowered = data.lower()
        plain = not any(m in lowered for m in (b"tool-call", b"tool_call", b"stream-end", b"\\u"))
        document = read_document(data, _WHAT, plain=plain)
        refuse_odd_case(document, _OUTER, _WHAT)
        held = Held(frame, document)
        kind = document.get("event_type")
        inside: list[Json] = []
        if kind == "tool-calls-chunk":
            self._chunk(held, document)
        elif kind == "tool-calls-generation":
            entries = entries_of(document, _WHAT)
            inside = self._whole(held, entries, [call_of(e, None, _WHAT) for e in entries])
        elif kind == "stream-end":
            inside = self._stream_end(held, document)
        elif any(document.get(key) for key in ("tool_calls", "tool_call_delta", "response")):
            raise WireError(f"{_WHAT}: tool calls in an event of type {kind!r}")
        elif kind == "text-generation" and isinstance(document.get("text"), str):
            self._said.append(document["text"])
        if not plain:
            refuse_ambiguous(document, _WHAT, inside)
        return held

    def _chunk(self, held: Held, document: dict[str, Json]) -> None:
        if document.get("tool_calls"):
            raise WireError(f"{_WHAT}: a chunk with whole calls")
        delta = document.get("tool_call_delta")
        if delta is None:
            return
        if not isinstance(delta, dict):
            raise WireError(f"{_WHAT}: tool_call_delta: expected an object")
        refuse_odd_case(delta, ENTRY, _WHAT)
        name, piece = _text(delta.get("name")), _text(delta.get("parameters"))
        if not name and not piece:
            return
        index = delta.get("index")
        if self._calls or type(index) is not int or index < 0:
            raise WireError(f"{_WHAT}: a piece of a call with index {index!r}")
        call = self._pieces.get(index)
        if call is None:
            if index != len(self._pieces):
                raise WireError(f"{_WHAT}: the first piece of call {index} is out of turn")
            call = self._pieces[index] = StreamedCall(index=index)
        call.name += name
        call.texts.append(piece)
        held.calls.append(call)

    def _whole(self, held: Held, entries: list[Json], calls: list[Call]) -> list[Json]:
        """Reports calls that are whole for the first time; checks those that come again."""
        if self._calls:
            if [_same(c) for c in calls] != [_same(c.call) for c in self._calls]:
                raise WireError(f"{_WHAT}: calls that are not those that came before")
            held.calls += self._calls
            return [entry.get("parameters") for entry in entries]
        if self._pieces and len(self._pieces) != len(calls):
            raise WireError(f"{_WHAT}: {len(self._pieces)} calls in pieces, {len(calls)} whole")
        for n, (entry, call) in enumerate(zip(entries, calls, strict=True)):
            streamed = self._pieces.get(n) or StreamedCall(index=n, name=call.name)
            if n in self._pieces and not _agrees(streamed, call):
                raise WireError(f"{_WHAT}: call {n} is another than in its pieces")
            streamed.id, streamed.entry = call.id, entry
            self._calls.append(streamed)
            self.found(streamed, call)
        held.calls += self._calls
        return [entry.get("parameters") for entry in entries]

    def _stream_end(self, held: Held, document: dict[str, Json]) -> list[Json]:
        if document.get("tool_calls") or document.get("tool_call_delta"):
            raise WireError(f"{_WHAT}: tool calls beside the whole answer")
        answer = document.get("response")
        if answer is None:
            answer = {}
        if not isinstance(answer, dict):
            raise WireError(f"{_WHAT}: response: expected an object")
        refuse_odd_case(answer, ANSWER, _WHAT)
        calls = calls_of(answer, None, _WHAT)
        inside: list[Json] = []
        if calls:
            inside = self._whole(held, entries_of(answer, _WHAT), calls)
        said = last_said(answer)
        if said is not None:
            inside += [e.get("parameters") for e in entries_of(said, _WHAT) if isinstance(e, dict)]
        for call in self.open_calls():
            self.cut_off(
                call,
                f"[checkrein] The call {call.name} did not run: the answer ended inside it. "
                "Make the call again, shorter.",
            )
        return inside

    def open_calls(self) -> list[StreamedCall]:
        return [c for c in self._pieces.values() if c.call is None and not c.cut_off]

    # --- writing ---------------------------------------------------------------------------

    def write(self, held: Held) -> bytes:
        document = held.document
        if document is None:
            return held.frame.raw
        kind = document.get("event_type")
        refused = {n: c.refusal for n, c in enumerate(self._calls) if c.refusal is not None}
        if kind == "tool-calls-chunk" and held.calls:
            call = held.calls[0]
            if call.refusal is not None:
                return b""
            place = [c for c in self._calls if c.refusal is None].index(call)
            if place == call.index:
                return held.frame.raw
            document["tool_call_delta"]["index"] = place
            return self._framed(document)
        if kind == "tool-calls-generation" and refused:
            left = [c.entry for c in self._calls if c.refusal is None]
            document["tool_calls"] = left
            return (self._framed(document) if left else b"") + self.last_words()
        if kind != "stream-end":
            return held.frame.raw
        words = self.last_words()
        answer = document.get("response")
        if not isinstance(answer, dict) or not refused:
            return words + held.frame.raw
        take_out(answer, refused)
        if not answer.get("tool_calls") and document.get("finish_reason") == "TOOL_CALL":
            document["finish_reason"] = "COMPLETE"
        return words + self._framed(document)

    def last_words(self) -> bytes:
        """Says why calls are missing."""
        gone = [*self._calls, *(c for c in self._pieces.values() if c.cut_off)]
        texts = [c.refusal for c in gone if c.refusal is not None][self._told :]
        if not texts:
            return b""
        self._told += len(texts)
        text = ("\n\n" if self._said else "") + "\n\n".join(texts)
        return self._framed({"is_finished": False, "event_type": "text-generation", "text": text})

    def _framed(self, document: dict[str, Json]) -> bytes:
        if self._lines:
            return line_bytes(document)
        return frame_bytes(encode(document), document["event_type"])

    def memory(self) -> RefusedResponse:
        return memory_of(
            self._ref,
            "".join(self._said),
            [call.entry for call in self._calls],
            [RefusedCall(c.id, c.name, "function", c.refusal) for c in self._calls if c.refusal],
        )

    def keepalive(self) -> bytes:
        return KEEPALIVE if self._lines else b": checkrein\n\n"

    def fail(self, text: str) -> bytes:
        answer = {"text": text, "finish_reason": "ERROR"}
        event = {"is_finished": True, "event_type": "stream-end", "finish_reason": "ERROR"}
        return self._framed({**event, "response": answer})


def _same(call: Call | None) -> tuple[str, str] | None:
    return (call.name, call.args_sha256) if call else None


def _agrees(streamed: StreamedCall, call: Call) -> bool:
    """Whether a call that came in pieces is the whole one; some models stream the name alone."""
    text = "".join(streamed.texts)
    made = call_from_text(text, id=None, name=streamed.name, provider=call.provider)
    return streamed.name == call.name and (not text or made.args_sha256 == call.args_sha256)


def _text(value: Json) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WireError(f"{_WHAT}: a piece of a call that is no text")
    return value
