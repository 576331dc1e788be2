"""Refused calls put back into a Responses request, each with its failed result.

How it works. Where the server keeps the history (`previous_response_id`, `conversation`) it still
holds the refused call and wants its output ("No tool output found for function call …",
https://github.com/openai/openai-agents-python/issues/673, read 2026-11): only the outputs are
added, in front of the new input. Else the client carries the history: the message that stood in
for the call is taken out and the call and its output go in where the call was: behind its reasoning
item ("reasoning was provided without its required following item",
https://github.com/vercel/ai/issues/7099, read 2026-11), else where the message stood, else beside a
sibling that came back. A call or output that the request has already is never put in twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.model import Json
from proxy.wire.codec import ParsedRequest, RefusedCall, RefusedResponse
from proxy.wire.jsontext import encode
from proxy.wire.responses.items import (
    answer_key,
    arguments_of,
    call_key,
    call_of,
    message_id,
    output_items,
)
from proxy.wire.responses.memory import conversation_id
from proxy.wire.responses.request import is_message, items_of

type Item = dict[str, Json]


def restore(request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
    """See `codec.WireProtocol.restore`."""
    document = request.document
    items = before = list(items_of(document))
    for memory in memories:
        if _server_keeps(document, memory):
            items = _answered(items, memory)
        else:
            items = _put_back(items, memory)
    if items == before:
        return None
    return encode({**document, "input": items})


def _server_keeps(document: Item, memory: RefusedResponse) -> bool:
    previous = document.get("previous_response_id")
    conversation = conversation_id(document.get("conversation"))
    return (isinstance(previous, str) and f"response:{previous}" in memory.keys) or (
        conversation is not None and f"conversation:{conversation}" in memory.keys
    )


def _answered(items: list[Item], memory: RefusedResponse) -> list[Item]:
    """Adds the outputs only; the server has the calls."""
    kept, marks = _with_marks(items, memory)
    have = {answer_key(item) for item in kept}
    made: list[Item] = []
    for _, _, item, refused in _refused_items(memory):
        if call_key(item) not in have:
            made += output_items(item, refused)
    return made + _unmarked(kept, marks)


def _put_back(items: list[Item], memory: RefusedResponse) -> list[Item]:
    """Puts the calls and their outputs in the place of the messages that stood for them."""
    kept, marks = _with_marks(items, memory)
    placed: dict[int, Item] = {}  # position in the original: the last item put in for it
    for number, position, item, refused in _refused_items(memory):
        answers = sum(answer_key(one) == call_key(item) for one in kept)
        calls = sum(call_key(one) == call_key(item) for one in kept)
        mine = next((one for one in kept if _is_same_call(one, item)), None)
        if mine is not None:
            at: int | None = _index(kept, mine) + 1
            new = [] if answers >= calls else output_items(item, refused)
        else:
            at = _place(kept, memory.original, position, marks.get(number), placed)
            new = [item, *([] if answers > calls else output_items(item, refused))]
        if at is not None and new:
            kept[at:at] = new
            placed[position] = new[-1]
    return _unmarked(kept, marks)


def _place(
    kept: list[Item],
    original: list[Item],
    position: int,
    mark: Item | None,
    placed: dict[int, Item],
) -> int | None:
    """Finds where a refused call belongs; None where nothing of its turn came back."""
    if position and original[position - 1].get("type") == "reasoning":
        reasoning = _find(kept, original[position - 1])
        if reasoning is not None:
            return _index(kept, reasoning) + 1
    if mark is not None:
        return _index(kept, mark)
    for before in range(position - 1, -1, -1):
        found = placed.get(before) or _find(kept, original[before])
        if found is not None:
            return _index(kept, found) + 1
    for after in range(position + 1, len(original)):
        found = _find(kept, original[after])
        if found is not None:
            return _index(kept, found)
    return None


def _find(kept: list[Item], item: Item) -> Item | None:
    """Finds an item of the original turn; clients drop ids, or send ids alone."""
    for one in kept:
        if one.get("type") == "item_reference":
            if item.get("id") is not None and one.get("id") == item["id"]:
                return one
        elif one.get("type", "message") == item.get("type") and any(
            item.get(name) is not None and one.get(name) == item[name]
            for name in ("id", "call_id", "encrypted_content")
        ):
            return one
    return None


def _index(kept: list[Item], item: Item) -> int:
    return next(at for at, one in enumerate(kept) if one is item)


def _is_same_call(one: Item, item: Item) -> bool:
    """Some providers use an id again for another call, so the arguments have to agree too."""
    if call_key(item) is None or call_key(one) != call_key(item):
        return False
    return bool(arguments_of(one) == arguments_of(item))


def _refused_items(memory: RefusedResponse) -> list[tuple[int, int, Item, RefusedCall]]:
    """Pairs each refused call with its number (from 0), its position in the turn, its item."""
    found: list[tuple[int, int, Item, RefusedCall]] = []
    used: set[int] = set()
    for number, refused in enumerate(memory.refused):
        for position, item in enumerate(memory.original):
            if position in used or call_key(item) is None:
                continue
            call = call_of(item, None)
            if (call.id, call.name, call.kind) == (refused.call_id, refused.name, refused.kind):
                used.add(position)
                found.append((number, position, item, refused))
                break
    return sorted(found, key=lambda one: one[1])


def _with_marks(items: list[Item], memory: RefusedResponse) -> tuple[list[Item], dict[int, Item]]:
    """Takes our messages out; in the place of each stands a mark, by the refusal's number."""
    kept: list[Item] = []
    marks: dict[int, Item] = {}
    ids = {message_id(memory.ref, n + 1): n for n in range(len(memory.refused))}
    for item in items:
        numbers: list[int] = []
        rest: Item | None = item
        if item.get("id") in ids:
            # Codex echoes the id (measured); clients of stored responses send a reference to it.
            # The provider knows neither.
            numbers, rest = [ids[item["id"]]], None
            if is_message(item):
                _, rest = _without_texts(item, memory, {})
                rest = {k: v for k, v in rest.items() if k != "id"} if rest is not None else None
        elif is_message(item) and item["role"] == "assistant" and memory.ref in _shown(item):
            numbers, rest = _without_texts(item, memory, marks)
        if rest is not None:
            kept.append(rest)
        for number in numbers:
            if number not in marks:
                marks[number] = {"type": "checkrein.mark"}
                kept.append(marks[number])
    return kept, marks


def _unmarked(kept: list[Item], marks: dict[int, Item]) -> list[Item]:
    gone = {id(mark) for mark in marks.values()}
    return [item for item in kept if id(item) not in gone]


def _shown(item: Item) -> str:
    content = item.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _without_texts(
    item: Item, memory: RefusedResponse, marks: dict[int, Item]
) -> tuple[list[int], Item | None]:
    """Cuts our texts out of a message; clients merge them with the model's own.

    Returns the refusals' numbers that were found, and what is left of the message, if anything.
    """
    numbers: list[int] = []

    def cut(text: str) -> str:
        for number, refused in enumerate(memory.refused):
            if refused.text in text and number not in marks and number not in numbers:
                text = text.replace(refused.text, "", 1)
                numbers.append(number)
        # A text that a client changed is gone as a whole: it is ours, and it is said elsewhere.
        return "" if memory.ref in text else text

    content = item.get("content")
    left: Json
    if isinstance(content, str):
        left = cut(content).strip()
    else:
        left = []
        for part in content if isinstance(content, list) else []:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                text = cut(part["text"])
                if text != part["text"]:
                    if text.strip():
                        left.append({**part, "text": text.strip()})
                    continue
            left.append(part)
    if not numbers:
        free = [n for n in range(len(memory.refused)) if n not in marks]
        numbers = free[:1]
    return numbers, ({**item, "content": left} if left else None)
