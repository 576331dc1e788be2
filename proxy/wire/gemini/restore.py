"""Refused calls put back into a Gemini history, each with a failed result.

How it works. A memory's turn is looked for among the runs of consecutive model contents (google-genai
keeps every streamed chunk as a content of its own). It is known by our text, else by the id of a call
that was let through or by a thought signature.

The parts of the turn are then replaced by the *whole* original in one content: thought signatures have to
come back exactly on the parts they came on, and only the first of several parallel calls has one
(https://ai.google.dev/gemini-api/docs/thought-signatures, read 2026-11). Parts that are not of the turn
stay. All results, the client's own and the failed ones, stand in call order in the one user content
behind it: the API wants as many as there are calls (google-gemini/gemini-cli#4217).
Nothing is added twice; a turn that is not found is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from proxy.model import Json
from proxy.wire.codec import ParsedRequest, RefusedResponse
from proxy.wire.gemini.parts import (
    PROVIDER,
    Part,
    function_call,
    get,
    key_of,
    objects,
    shape_of,
    signature_of,
)
from proxy.wire.gemini.request import answered_call, root_of
from proxy.wire.jsontext import encode

type _Content = dict[str, Json]


def restore(request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
    """Returns the body with refused calls and their results put back; None: nothing to put back."""
    document = request.document
    root = root_of(document)
    key = key_of(root, "contents")
    if key is None:
        return None
    before = objects(root[key], "contents")
    contents = list(before)
    for memory in memories:
        if memory.provider == PROVIDER:
            for turn in _turns(memory):
                turn.put_back(contents)
    if contents == before:
        return None
    made = root | {key: contents}
    if root is document:
        return encode(made)
    return encode(document | {str(key_of(document, "request")): made})


def _turns(memory: RefusedResponse) -> Iterator[_Turn]:
    texts = iter([refused.text for refused in memory.refused])
    for content, lost in zip(memory.original["contents"], memory.original["refused"], strict=True):
        yield _Turn(memory.ref, content["parts"], {place: next(texts) for place in lost})


class _Turn:
    """One remembered model turn, and how its parts are known again.

    Args:
        refused: position in `parts` -> the text that stood in the call's place.
    """

    def __init__(self, ref: str, parts: list[Part], refused: dict[int, str]) -> None:
        self._ref = ref
        self._refused = refused
        self._parts = parts
        # White space may have changed on the way; everything else of our text has to be there.
        self._patterns = [
            re.compile(r"\s+".join(map(re.escape, text.split()))) for text in refused.values()
        ]
        self._released = [
            call
            for n, part in enumerate(parts)
            if n not in refused and (call := function_call(part)) is not None
        ]
        self._ids = {i for call in self._released if (i := get(call, "id"))}
        self._shapes = {shape_of(call) for call in self._released}
        self._signatures = {s for part in parts if (s := signature_of(part))}
        texts = [str(p["text"]) for p in parts if isinstance(p.get("text"), str)]
        self._text = "".join("".join(texts).split())

    def put_back(self, contents: list[_Content]) -> None:
        span = self._find(contents)
        if span is None:
            return
        start, end = span
        made, calls = self._whole(contents[start:end])
        contents[start:end] = made
        self._answer(contents, start + len(made), calls)

    # --- finding -----------------------------------------------------------------------------
    def _find(self, contents: list[_Content]) -> tuple[int, int] | None:
        """Returns the run of model contents that holds this turn, as a half-open span."""
        runs = list(_runs(contents))
        for sign in (self._is_refusal, self._has_id, self._has_signature):
            for start, end in runs:
                if any(sign(part) for part in _parts(contents[start:end])):
                    return start, end
        return None

    def _is_refusal(self, part: Part) -> bool:
        text = get(part, "text")
        if not isinstance(text, str) or self._ref not in text:
            return False
        return any(pattern.search(text) for pattern in self._patterns)

    def _has_id(self, part: Part) -> bool:
        call = function_call(part)
        return call is not None and get(call, "id") in self._ids

    def _has_signature(self, part: Part) -> bool:
        return signature_of(part) in self._signatures

    # --- the model's turn --------------------------------------------------------------------
    def _whole(self, run: list[_Content]) -> tuple[list[_Content], list[tuple[Part, str | None]]]:
        """Puts the original where the turn's first part stands and takes the turn's parts out.

        Returns the contents, and each call now in them with the failed result's text, if it has one.
        """
        echoes = [call for part in _parts(run) if (call := function_call(part)) is not None]
        restored = self._restored(echoes, keeps_thoughts=any(_is_thought(p) for p in _parts(run)))
        texts = {id(part): text for part, text in restored if text is not None}
        placed = False
        made: list[_Content] = []
        for content in run:
            kept: list[Part] = []
            for part in _parts([content]):
                rest = self._rest(part)
                kept += [] if rest is None else [rest]
                if rest is not part and not placed:
                    placed = True
                    kept += [one for one, _text in restored]
            if kept:
                made.append(content | {str(key_of(content, "parts")): kept})
        calls = [
            (part, texts.get(id(part))) for part in _parts(made) if function_call(part) is not None
        ]
        return _joined(made), calls

    def _restored(
        self, echoes: list[Part], *, keeps_thoughts: bool
    ) -> list[tuple[Part, str | None]]:
        """Returns the original's parts, each refused call with its text.

        A client that made up ids for its history finds its own ids again; thoughts that carry no
        signature come back only from clients that send them back.
        """
        made: list[tuple[Part, str | None]] = []
        left = list(echoes)
        for n, part in enumerate(self._parts):
            call = function_call(part)
            if call is None:
                empty = part.get("text") == "" and set(part) <= {"text", "thought"}
                if not empty and (keeps_thoughts or not _is_thought(part)):
                    made.append((part, None))
                continue
            if n not in self._refused:
                echo = _echo(call, left)
                if echo is not None:
                    left.remove(echo)
                    if not get(call, "id") and get(echo, "id"):
                        part = part | {"functionCall": call | {"id": get(echo, "id")}}
            made.append((dict(part), self._refused.get(n)))
        return made

    def _rest(self, part: Part) -> Part | None:
        """Returns what of a part is not this turn's: the part itself, None, or the rest of a text."""
        call = function_call(part)
        if call is not None:
            named = self._ids and get(call, "id")
            known = get(call, "id") in self._ids if named else shape_of(call) in self._shapes
            return None if known else part
        text = get(part, "text")
        if isinstance(text, str):
            rest = text
            for pattern in self._patterns if self._ref in text else []:
                rest = pattern.sub("", rest, count=1)
            if "".join(rest.split()) in self._text:
                return None
            return part if rest == text else part | {str(key_of(part, "text")): rest.strip()}
        known = part in self._parts or signature_of(part) in self._signatures
        return None if known else part

    # --- its results -------------------------------------------------------------------------
    def _answer(
        self, contents: list[_Content], at: int, calls: list[tuple[Part, str | None]]
    ) -> None:
        """Puts one result a call, in call order, into the content at this place."""
        end = at
        while end < len(contents) and get(contents[end], "role") != "model":
            end += 1
        mine: list[Part] = []  # the client's results, out of as many contents as it needs
        emptied: list[_Content] = []
        first: _Content | None = None
        for content in contents[at:end]:
            parts = _parts([content])
            results = [p for p in parts if isinstance(get(p, "functionResponse"), dict)]
            mine += results
            others = [p for p in parts if p not in results]
            if first is None:
                first = content
                emptied.append(content | {"parts": others})
            elif others or not parts:
                emptied.append(content if not results else content | {"parts": others})
        waiting = [call for part, _text in calls if (call := function_call(part)) is not None]
        given: dict[int, Part] = {}
        loose: list[Part] = []
        for result in mine:
            found = answered_call(get(result, "functionResponse"), waiting)
            if found is None:
                loose.append(result)
                continue
            waiting.remove(found)
            given[id(found)] = result
        ordered: list[Part] = []
        for part, text in calls:
            call = function_call(part)
            assert call is not None  # noqa: S101 - for the type checker
            if id(call) in given:
                ordered.append(given[id(call)])
            elif text is not None:
                ordered.append(_failed(call, text))
        ordered += loose
        if first is None:
            contents.insert(at, {"role": "user", "parts": ordered})
            return
        head = emptied[0]
        emptied[0] = head | {str(key_of(head, "parts")): ordered + head["parts"]}
        contents[at:end] = emptied


def _failed(call: Part, text: str) -> Part:
    response: dict[str, Json] = {"name": get(call, "name"), "response": {"error": text}}
    if call_id := get(call, "id"):
        response = {"id": call_id, **response}
    return {"functionResponse": response}


def _echo(call: Part, echoes: list[Part]) -> Part | None:
    """Returns the client's own copy of a call."""
    if call_id := get(call, "id"):
        return next((echo for echo in echoes if get(echo, "id") == call_id), None)
    signature = shape_of(call)
    return next((echo for echo in echoes if shape_of(echo) == signature), None)


def _is_thought(part: Part) -> bool:
    return get(part, "thought") is True and get(part, "thoughtSignature") is None


def _parts(contents: Sequence[_Content]) -> list[Part]:
    return [p for content in contents for p in objects(get(content, "parts"), "parts")]


def _joined(contents: list[_Content]) -> list[_Content]:
    """Joins a run into one content: all calls of a turn stand in one."""
    if len(contents) < 2:
        return contents
    return [contents[0] | {str(key_of(contents[0], "parts")): _parts(contents)}]


def _runs(contents: Sequence[_Content]) -> Iterator[tuple[int, int]]:
    start: int | None = None
    for n, content in enumerate(contents):
        if get(content, "role") == "model":
            start = n if start is None else start
        elif start is not None:
            yield start, n
            start = None
    if start is not None:
        yield start, len(contents)
