"""The gate over a Converse answer, and over the answer of a Nova model, which is the same.

What belongs here: where calls stand in `output.message.content` and how they are taken out. The texts
of refused calls stand ahead of the calls that are left: requests to Bedrock are mostly signed, so the
history comes back as the client saw it, and Claude misses the result of a call that text follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from proxy.errors import WireError
from proxy.model import Json
from proxy.wire.anthropic.blocks import plain, stop_reason_after
from proxy.wire.bedrock.blocks import (
    Context,
    call_of,
    history_block,
    memory,
    runs_at_client,
    text_block,
    tool_use_of,
)
from proxy.wire.bedrock.shapes import may_hold_call, refuse_hidden
from proxy.wire.codec import RefusedResponse
from proxy.wire.json_gate import Found, JsonGate
from proxy.wire.jsontext import encode

_WHAT = "bedrock: response"


class ConverseGate(JsonGate):
    """Holds one message until its calls are ruled on."""

    def __init__(
        self, context: Context, *, status: int, error_body: Callable[[int, str], bytes]
    ) -> None:
        super().__init__(what=_WHAT, status=status)
        self._context = context
        self._error_body = error_body
        self._places: list[int] = []  # of each found call, where in `content` it stands

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        output = document.get("output")
        message = output.get("message") if isinstance(output, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        refuse_hidden(document, ("output",), _WHAT)
        if not isinstance(content, list):
            if may_hold_call(document):
                raise WireError(f"{_WHAT}: expected an array - at $.output.message.content")
            return []  # an error's body, or the model said nothing
        refuse_hidden(output or {}, ("message",), _WHAT)
        refuse_hidden(message or {}, ("content",), _WHAT)
        found: list[Found] = []
        for place, block in enumerate(content):
            use = tool_use_of(block, f"{_WHAT} - at $.output.message.content[{place}]")
            if use is None:
                continue
            self._places.append(place)
            given = use.get("input")
            found.append(
                Found(
                    call_of(use, None, self._context),
                    value=given if isinstance(given, dict | list) else None,
                    seen=not runs_at_client(use, self._context),
                )
            )
        return found

    def strip(self, document: dict[str, Json], refused: Mapping[int, str]) -> RefusedResponse:
        message = document["output"]["message"]
        content: list[Json] = message["content"]
        original: list[Json] = [plain(block) for block in content]
        texts: list[Json] = []
        gone: set[int] = set()
        client: list[int] = []
        for position, place in enumerate(self._places):
            found = self._found[position]
            original[place] = history_block(content[place]["toolUse"], found.call)
            if found.seen:
                continue
            client.append(position)
            if position in refused:
                texts.append(text_block(refused[position]))
                gone.add(place)
        first = min(self._places[position] for position in client)
        message["content"] = [
            *content[:first],
            *texts,
            *(b for n, b in enumerate(content[first:], first) if n not in gone),
        ]
        document["stopReason"] = stop_reason_after(
            document.get("stopReason"), client_calls_left=len(client) > len(refused)
        )
        try:
            encode(document)
        except UnicodeEncodeError:  # half a surrogate pair, spelled as an escape
            document.update(plain(document))
        return memory(
            self._context,
            original,
            [self._found[position].call for position in client],
            {client.index(position): text for position, text in refused.items()},
        )

    def fail(self, text: str) -> bytes:
        return self._error_body(502, text)
