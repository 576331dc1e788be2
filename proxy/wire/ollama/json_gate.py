"""The gate over an Ollama answer that is one JSON object (`"stream": false`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.model import Json
from proxy.wire.codec import RefusedCall, RefusedResponse
from proxy.wire.json_gate import Found, JsonGate
from proxy.wire.jsontext import encode
from proxy.wire.ollama.calls import PROVIDER, arguments_of, call_of, entries_of

_WHAT = "ollama response"


class OllamaJsonGate(JsonGate):
    """Holds one answer until its calls are ruled on."""

    def __init__(self, *, ref: str, status: int) -> None:
        super().__init__(what=_WHAT, status=status)
        self._ref = ref
        self._message: dict[str, Json] = {}
        self._entries: list[Json] = []

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        self._message, self._entries = entries_of(document, _WHAT)
        return [Found(call_of(entry, _WHAT), arguments_of(entry)) for entry in self._entries]

    def strip(self, document: dict[str, Json], refused: Mapping[int, str]) -> RefusedResponse:
        memory = memory_of(
            self._ref,
            self._message,
            self._entries,
            [
                RefusedCall(self._found[n].call.id, self._found[n].call.name, "function", text)
                for n, text in refused.items()
            ],
            [entry.get("id") for n, entry in enumerate(self._entries) if n not in refused],
        )
        take_out(self._message, [self._entries[n] for n in refused], list(refused.values()))
        return memory

    def fail(self, text: str) -> bytes:
        return encode({"error": text})


def take_out(message: dict[str, Json], gone: Sequence[Json], texts: Sequence[str]) -> None:
    """Takes calls out of a message and says why in its text."""
    left = [e for e in message.get("tool_calls") or [] if not any(e is one for one in gone)]
    if left:
        message["tool_calls"] = left
    else:
        message.pop("tool_calls", None)
    content = message.get("content")
    message["content"] = "\n\n".join([content, *texts] if content else texts)


def memory_of(
    ref: str,
    message: Mapping[str, Json],
    entries: Sequence[Json],
    refused: Sequence[RefusedCall],
    kept_ids: Sequence[str | None],
) -> RefusedResponse:
    """Returns the memory of a message as a request carries it.

    Derived ids are no keys: another session's call may have the same.
    """
    original: dict[str, Json] = {"role": "assistant", "content": message.get("content") or ""}
    if message.get("thinking"):
        original["thinking"] = message["thinking"]
    original["tool_calls"] = list(entries)
    keys = [f"ref:{ref}", *(f"call:{call_id}" for call_id in kept_ids if call_id)]
    return RefusedResponse(
        ref=ref,
        provider=PROVIDER,
        keys=tuple(dict.fromkeys(keys)),
        original=original,
        refused=tuple(refused),
    )
