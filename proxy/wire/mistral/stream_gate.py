"""The gate over a Mistral conversation's event stream.

How it works. The pieces of a call (`function.call.delta`) share an `output_index`; nothing says that a call
is whole before `conversation.response.done`, so from the first piece on all frames wait for that, and for
the rulings. `mistralai` joins pieces by their index and takes name and id from the first: pieces of one index
that disagree, or of one id on two, end the stream. In a refused call's place stands a message.

Source: https://docs.mistral.ai/agents/agents#streaming-output, and `mistralai/extra/run/result.py` (read 2026-11).
"""

from __future__ import annotations

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.codec import CallSeen, RefusedResponse
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
from proxy.wire.mistral.entries import Role, call_of, memory_of, message_id
from proxy.wire.sse import Frame, SseReader, frame_bytes

_WHAT = "mistral.conversations stream"
_NAMES = frozenset(
    {"type", "name", "id", "tool_call_id", "arguments", "output_index", "confirmation_status"}
)
_WITH_ARGUMENTS = frozenset(
    {"function.call.delta", "tool.execution.started", "tool.execution.delta"}
)


class ConversationStreamGate(FrameGate):
    """Holds back the frames of calls and what is behind them."""

    def __init__(self, *, ref: str, conversation: str | None) -> None:
        super().__init__(what=_WHAT, ref=ref, reader=SseReader())
        self._conversation = conversation
        self._first = True
        self._calls: dict[int, StreamedCall] = {}
        self._server: dict[str, tuple[dict[str, Json], list[str]]] = {}
        self._done = False
        self._told: set[int] = set()

    # --- reading ---------------------------------------------------------------------------

    def read(self, frame: Frame) -> Held:
        refuse_odd_lines(frame, _WHAT, first=self._first)
        self._first = False
        data = frame.data
        if data is None or not data.strip() or data.strip() == b"[DONE]":
            return Held(frame)
        lowered = data.lower()
        plain = not any(m in lowered for m in (b"call", b"tool", b"arguments", b"\\u"))
        document = read_document(data, _WHAT, plain=plain)
        if not plain:
            refuse_ambiguous(document, _WHAT)
        refuse_odd_case(document, _NAMES, _WHAT)
        held = Held(frame, document)
        kind = document.get("type")
        if kind == "function.call.delta":
            held.calls.append(self._piece(document))
        elif kind in ("tool.execution.started", "tool.execution.delta", "tool.execution.done"):
            self._executed(str(kind), document)
        elif "arguments" in document or "tool_call_id" in document:
            raise WireError(f"{_WHAT}: a call in an event of type {kind!r}")
        elif kind == "conversation.response.started":
            if isinstance(name := document.get("conversation_id"), str):
                self._conversation = name
        elif kind == "conversation.response.done":
            self._close()
        elif kind == "conversation.response.error":
            for call in self.open_calls():
                self.cut_off(call, "")
        if self._calls and not held.calls:
            held.calls = list(self._calls.values())  # what is behind a call waits
        return held

    def _piece(self, document: dict[str, Json]) -> StreamedCall:
        if self._done:
            raise WireError(f"{_WHAT}: a call after the end")
        index = document.get("output_index")
        index = 0 if index is None else index
        name, call_id = document.get("name"), document.get("tool_call_id")
        arguments = document.get("arguments")
        if type(index) is not int or not isinstance(name, str) or not isinstance(call_id, str):
            raise WireError(f"{_WHAT}: a call without an index, a name or an id")
        if arguments is not None and not isinstance(arguments, str):
            raise WireError(f"{_WHAT}: arguments that are no text")
        call = self._calls.get(index)
        if call is None:
            if any(call_id == other.id for other in self._calls.values()):
                raise WireError(f"{_WHAT}: one call on two indexes")
            kept = {k: v for k, v in document.items() if k not in ("arguments", "output_index")}
            entry = {**kept, "object": "entry", "type": "function.call"}
            call = StreamedCall(index=index, id=call_id, name=name, entry=entry)
            self._calls[index] = call
        elif call_id != call.id or name not in ("", call.name):
            raise WireError(f"{_WHAT}: two calls on one index")
        if (status := document.get("confirmation_status")) is not None:
            call.entry["confirmation_status"] = status
        call.texts.append(arguments or "")
        return call

    def _executed(self, kind: str, document: dict[str, Json]) -> None:
        """A call that the server runs itself: it is told once it is done."""
        name = str(document.get("id"))
        entry, texts = self._server.setdefault(name, (document, []))
        if kind != "tool.execution.done":
            arguments = document.get("arguments")
            texts.append(arguments if isinstance(arguments, str) else "")
            return
        del self._server[name]
        self._tell(entry, texts)

    def _tell(self, entry: dict[str, Json], texts: list[str]) -> None:
        whole = entry | {"arguments": "".join(texts)}
        self._events.append(CallSeen(call_of(whole, Role.SERVER, _WHAT)))

    def _close(self) -> None:
        self._done = True
        for entry, texts in self._server.values():
            self._tell(entry, texts)
        self._server.clear()
        for call in self.open_calls():
            call.entry["arguments"] = "".join(call.texts)
            self.found(call, call_of(call.entry, Role.CLIENT, _WHAT))

    def open_calls(self) -> list[StreamedCall]:
        return [c for c in self._calls.values() if c.call is None and not c.cut_off]

    # --- writing ---------------------------------------------------------------------------

    def write(self, held: Held) -> bytes:
        document = held.document
        if document is None or document.get("type") != "function.call.delta":
            return held.frame.raw
        call = held.calls[0]
        if call.refusal is None:
            return held.frame.raw
        if call.cut_off or call.index in self._told:
            return b""
        self._told.add(call.index)
        kept: dict[str, Json] = {
            k: document[k] for k in ("created_at", "model", "agent_id") if k in document
        }
        message: dict[str, Json] = {
            **kept,
            "type": "message.output.delta",
            "id": message_id(self._ref, call.index),
            "role": "assistant",
            "output_index": call.index,
            "content_index": 0,
            "content": call.refusal,
        }
        return frame_bytes(encode(message), "message.output.delta")

    def memory(self) -> RefusedResponse:
        streamed = [call for call in self._calls.values() if call.call is not None]
        return memory_of(
            self._ref,
            self._conversation,
            [call.entry for call in streamed],
            [call.call for call in streamed if call.call is not None],
            {n: call.refusal for n, call in enumerate(streamed) if call.refusal is not None},
        )

    def keepalive(self) -> bytes:
        return b": checkrein\n\n"

    def fail(self, text: str) -> bytes:
        event = {"type": "conversation.response.error", "message": text, "code": 500}
        return frame_bytes(encode(event), "conversation.response.error")
