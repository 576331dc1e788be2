"""The gate over Ollama's lines of JSON.

How it works. A call comes whole, in one line, so a line waits until its own calls are ruled on, and
what is behind it waits with it. A refused call leaves its line, whose text then says why.
"""

from __future__ import annotations

from proxy.model import Json
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.frame_gate import (
    FrameGate,
    Held,
    StreamedCall,
    read_document,
    refuse_ambiguous,
)
from proxy.wire.ndjson import KEEPALIVE, NdjsonReader, line_bytes
from proxy.wire.ollama.calls import arguments_of, call_of, entries_of
from proxy.wire.ollama.json_gate import memory_of, take_out
from proxy.wire.sse import Frame

_WHAT = "ollama stream"


class OllamaStreamGate(FrameGate):
    """Holds back the lines that carry calls."""

    def __init__(self, *, ref: str) -> None:
        super().__init__(what=_WHAT, ref=ref, reader=NdjsonReader())
        self._calls: list[StreamedCall] = []
        self._said: dict[str, list[str]] = {"content": [], "thinking": []}

    def read(self, frame: Frame) -> Held:
        data = frame.data
        if data is None:
            return Held(frame)
        lowered = data.lower()
        plain = b"tool_call" not in lowered and b"\\u" not in lowered
        document = read_document(data, _WHAT, plain=plain)
        held = Held(frame, document)
        message, entries = entries_of(document, _WHAT)
        for key, texts in self._said.items():
            if isinstance(text := message.get(key), str) and text:
                texts.append(text)
        for entry in entries:
            call = call_of(entry, _WHAT)
            streamed = StreamedCall(id=call.id, name=call.name, entry=entry)
            self._calls.append(streamed)
            held.calls.append(streamed)
            self.found(streamed, call)
        if not plain:
            refuse_ambiguous(document, _WHAT, [arguments_of(entry) for entry in entries])
        return held

    def write(self, held: Held) -> bytes:
        gone = [call for call in held.calls if call.refusal is not None]
        if not gone or held.document is None:
            return held.frame.raw
        texts = [call.refusal or "" for call in gone]
        take_out(held.document["message"], [call.entry for call in gone], texts)
        return line_bytes(held.document)

    def memory(self) -> RefusedResponse:
        message: dict[str, Json] = {key: "".join(texts) for key, texts in self._said.items()}
        return memory_of(
            self._ref,
            message,
            [call.entry for call in self._calls],
            [
                RefusedCall(call.id, call.name, "function", call.refusal)
                for call in self._calls
                if call.refusal is not None
            ],
            [call.entry.get("id") for call in self._calls if call.refusal is None],
        )

    def keepalive(self) -> bytes:
        return KEEPALIVE

    def fail(self, text: str) -> bytes:
        return line_bytes({"error": text})
