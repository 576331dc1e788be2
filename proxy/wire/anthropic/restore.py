"""Refused calls put back into a Messages history, each with a failed result.

How it works. A memory's turn is looked for among the runs of consecutive assistant messages (the API
reads such a run as one turn; some clients store every block as a message of its own). It is known by
our text, by the id of a call that was let through, or by a thinking block's signature; never by the
reference alone, which a model may quote in a later answer.

- If the original has thinking, the turn's blocks are replaced by the *whole* original: signatures
  must come back exactly, and Claude Code orders blocks anew when it replays them.
- Else our text is cut out and the refused call stands in its place; the rest stays as the client
  sent it.

Either way the turn's calls then stand last: text behind a call makes the API miss the results
(OpenCode recorded a 400 for `[tool_use, text]`, and Claude Code replays `[thinking, tool_use, text]`
as `[thinking, text, tool_use]`). The failed results go into the one user message behind the turn,
ahead of any text. Nothing is added twice. A turn that is not found is left alone: a stripped history
is valid. Rules of the API: https://docs.claude.com/en/docs/build-with-claude/extended-thinking and
https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from proxy.model import Json
from proxy.wire.anthropic.blocks import PROVIDER, is_call, is_client_call, refusal_text
from proxy.wire.anthropic.request import blocks_of
from proxy.wire.codec import ParsedRequest, RefusedCall, RefusedResponse
from proxy.wire.jsontext import encode

type _Block = dict[str, Json]

_THINKING = frozenset({"thinking", "redacted_thinking"})


def restore(request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
    """Returns the body with refused calls and their results put back; None: nothing to put back."""
    before: list[Json] = request.document["messages"]
    messages = list(before)
    previous = request.hints.get("previous_response_id")
    for memory in memories:
        if memory.provider != PROVIDER:
            continue
        turn = _Turn(memory)
        span = turn.find(messages)
        if span is not None:
            answered, end = turn.put_back(messages, *span)
            _add_results(messages, end, answered)
        elif previous is not None and f"response:{previous}" in memory.keys:
            # The server keeps the turn with its call (`thread`): only the result is missing.
            _add_results(messages, 0, turn.refused)
    if messages == before:
        return None
    return encode(request.document | {"messages": messages})


class _Turn:
    """One remembered assistant turn, and how its blocks are known again."""

    def __init__(self, memory: RefusedResponse) -> None:
        self.ref = memory.ref
        # The API sends empty texts but takes none back: anthropics/anthropic-sdk-python#461.
        self.original: list[_Block] = [
            block
            for block in memory.original["content"]
            if not (block["type"] == "text" and not str(block.get("text", "")).strip())
        ]
        self.by_id = {str(b["id"]): b for b in self.original if is_call(b["type"]) and b.get("id")}
        self.refused = [r for r in memory.refused if r.call_id in self.by_id]
        self.has_thinking = any(b["type"] in _THINKING for b in self.original)
        # White space may have changed on the way; everything else of our text has to be there.
        self._patterns = {
            r.call_id: re.compile(r"\s+".join(map(re.escape, refusal_text(r.text).split())))
            for r in self.refused
        }
        self._known = {key for b in self.original if (key := _key(b)) is not None}

    # --- finding -----------------------------------------------------------------------------
    def find(self, messages: list[Json]) -> tuple[int, int] | None:
        """Returns the run of assistant messages that holds this turn, as a half-open span."""
        if not self.refused:
            return None
        runs = list(_runs(messages))
        for sign in (self._is_restored, self._is_refusal, self._is_part):
            for start, end in runs:
                if any(sign(b) for m in messages[start:end] for b in _blocks(m)):
                    return start, end
        return None

    def _is_restored(self, block: _Block) -> bool:
        return is_client_call(block["type"]) and block.get("id") in self._patterns

    def _is_refusal(self, block: _Block) -> bool:
        return (
            block["type"] == "text"
            and self.ref in (text := str(block.get("text", "")))
            and any(pattern.search(text) for pattern in self._patterns.values())
        )

    def _is_part(self, block: _Block) -> bool:
        """Tells whether the block can only be of this turn; equal text alone says nothing."""
        key = _key(block)
        return key is not None and block["type"] != "text" and key[1] != "" and key in self._known

    def _belongs(self, block: _Block) -> bool:
        own = block["type"] == "text" and self.ref in str(block.get("text", ""))
        return own or _key(block) in self._known

    # --- putting back ------------------------------------------------------------------------
    def put_back(self, messages: list[Json], start: int, end: int) -> tuple[list[RefusedCall], int]:
        """Restores the turn inside the span; returns the calls it now holds and its new end."""
        contents = [list(_blocks(m)) for m in messages[start:end]]
        todo = [r for r in self.refused if r.call_id not in _call_ids(contents)]
        if todo:
            contents = self._whole(contents) if self.has_thinking else self._patched(contents, todo)
            self._calls_last(contents)
            made: list[Json] = [
                old if list(_blocks(old)) == new else old | {"content": new}
                for old, new in zip(messages[start:end], contents, strict=True)
                if new
            ]
            messages[start:end] = made
            end = start + len(made)
        present = _call_ids(contents)
        return [r for r in self.refused if r.call_id in present], end

    def _whole(self, contents: list[list[_Block]]) -> list[list[_Block]]:
        """Puts the whole original where its first part stands and takes all its parts out."""
        restored = [dict(block) for block in self.original]
        made: list[list[_Block]] = []
        placed = False
        for blocks in contents:
            kept: list[_Block] = []
            for block in blocks:
                if not self._belongs(block):
                    kept.append(block)
                    continue
                if not placed:
                    placed = True
                    kept += restored
                if block.get("cache_control") is not None:
                    self._move_breakpoint(block, restored)
            made.append(kept)
        return made

    def _calls_last(self, contents: list[list[_Block]]) -> None:
        """Moves this turn's client calls behind all else in the run, where text follows them."""
        kinds = ["call" if self._is_own_call(b) else b["type"] for bs in contents for b in bs]
        if "call" not in kinds or "text" not in kinds[kinds.index("call") :]:
            return  # a provider's call behind a client's call is the provider's own order
        calls = [b for blocks in contents for b in blocks if self._is_own_call(b)]
        for blocks in contents:
            blocks[:] = [b for b in blocks if not self._is_own_call(b)]
        contents[-1].extend(calls)

    def _is_own_call(self, block: _Block) -> bool:
        return is_client_call(block["type"]) and block.get("id") in self.by_id

    def _move_breakpoint(self, block: _Block, restored: list[_Block]) -> None:
        """Keeps a cache breakpoint: on the same block, or for our text on the last refused call.

        There may be four of them and none on thinking, so one that finds its place taken is dropped.
        """
        refused = {r.call_id for r in self.refused}
        key = _key(block)
        same = [b for b in restored if key is not None and _key(b) == key]
        called = [b for b in restored if is_call(b["type"]) and b.get("id") in refused]
        for target in (same or called)[-1:]:
            if target["type"] not in _THINKING:
                target.setdefault("cache_control", block["cache_control"])

    def _patched(self, contents: list[list[_Block]], todo: list[RefusedCall]) -> list[list[_Block]]:
        """Replaces our texts by the calls they stood for; the rest stays as it is."""
        left = list(todo)
        made = [
            [piece for block in blocks for piece in self._cut(block, left)] for blocks in contents
        ]
        for refused in left:
            self._insert(made, refused)
        return made

    def _cut(self, block: _Block, left: list[RefusedCall]) -> list[_Block]:
        """Cuts one text block at our texts, takes the calls found off `left`."""
        if not self._is_refusal(block):
            return [block]
        pieces: list[_Block] = []
        rest: str = block["text"]
        for refused in list(left):
            found = self._patterns[refused.call_id].search(rest)
            if found is None:
                continue
            left.remove(refused)
            if before := rest[: found.start()].rstrip():
                pieces.append({"type": "text", "text": before})
            pieces.append(dict(self.by_id[str(refused.call_id)]))
            rest = rest[found.end() :].lstrip()
        if rest:
            pieces.append({"type": "text", "text": rest})
        if block.get("cache_control") is not None:
            pieces[-1]["cache_control"] = block["cache_control"]
        return pieces

    def _insert(self, contents: list[list[_Block]], refused: RefusedCall) -> None:
        """Puts a call whose text the client dropped beside its neighbour in the original."""
        order = list(self.by_id)
        at = order.index(str(refused.call_id))
        places = {
            b["id"]: (m, n)
            for m, blocks in enumerate(contents)
            for n, b in enumerate(blocks)
            if is_call(b["type"]) and b.get("id") in self.by_id
        }
        ahead = [i for i in order[:at] if i in places]
        behind = [i for i in order[at + 1 :] if i in places]
        if ahead:
            m, n = places[ahead[-1]]
            # A provider's call and its result belong together: step over results.
            n += 1
            while n < len(contents[m]) and str(contents[m][n]["type"]).endswith("tool_result"):
                n += 1
        elif behind:
            m, n = places[behind[0]]
        else:
            return
        contents[m].insert(n, dict(self.by_id[str(refused.call_id)]))


def _key(block: _Block) -> tuple[str, str] | None:
    """Returns by what a block is known again when a client replays it."""
    kind = str(block["type"])
    if is_call(kind):
        return ("call", str(block.get("id") or ""))
    if kind.endswith("tool_result"):
        return ("result", str(block.get("tool_use_id") or ""))
    if kind == "thinking":
        return ("thinking", str(block.get("signature") or block.get("thinking") or ""))
    if kind == "redacted_thinking":
        return ("redacted", str(block.get("data") or ""))
    if kind == "text":
        return ("text", str(block.get("text", "")).strip())
    return None


def _runs(messages: Sequence[Json]) -> Iterator[tuple[int, int]]:
    start: int | None = None
    for n, message in enumerate(messages):
        if message["role"] == "assistant":
            start = n if start is None else start
        elif start is not None:
            yield start, n
            start = None
    if start is not None:
        yield start, len(messages)


def _blocks(message: Json) -> list[_Block]:
    return blocks_of(message["content"], "a message's content")


def _call_ids(contents: list[list[_Block]]) -> set[str]:
    return {str(b.get("id")) for blocks in contents for b in blocks if is_client_call(b["type"])}


def _add_results(messages: list[Json], at: int, refused: Sequence[RefusedCall]) -> None:
    """Adds the failed results to the user message at this place, or makes one there."""
    answered: set[str] = set()
    for message in messages[at:]:
        if message["role"] != "user":
            break
        answered |= {
            str(b.get("tool_use_id")) for b in _blocks(message) if b["type"] == "tool_result"
        }
    results: list[_Block] = [
        {
            "type": "tool_result",
            "tool_use_id": r.call_id,
            "content": refusal_text(r.text),
            "is_error": True,
        }
        for r in refused
        if r.call_id not in answered
    ]
    if not results:
        return
    if at == len(messages) or messages[at]["role"] != "user":
        messages.insert(at, {"role": "user", "content": results})
        return
    blocks = _blocks(messages[at])
    first = next((n for n, b in enumerate(blocks) if b["type"] != "tool_result"), len(blocks))
    messages[at] = messages[at] | {"content": [*blocks[:first], *results, *blocks[first:]]}
