"""Calls of a Chat stream put together from their fragments.

What belongs here: which fragment belongs to which call, and what a choice's message is in the end.
One *round* is all calls of one choice up to its finish reason; they are complete together, because
nothing earlier in a Chat stream says that a call is.

A fragment names its call by `index`. Vendors bend that: Cerebras, SGLang, Dynamo and LiteLLM put two
calls on one index (id and name change), Gemini leaves the index out (each fragment with another id, or
with a name and no id, begins a call), some repeat id and name in every fragment, vLLM's later fragments
have an empty id (https://github.com/InternLM/lmdeploy/issues/3412,
https://github.com/ai-dynamo/dynamo/pull/4723, https://github.com/BerriAI/litellm/issues/21331,
https://github.com/openai/openai-python/issues/2806; read 2026-11).

Clients read these in two ways: by id, and by index alone (openai-python's accumulator adds up all that
stands on one index). What the second way could run, and the first does not find, is a fault: a call
without a name, a new id without a name on a known index, and calls that share an index where one of them
has no object of its own as arguments (two objects in a row are no JSON, so nobody runs those).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.chat.calls import (
    PROVIDER,
    function_kind,
    history_message,
    make_call,
    object_or_none,
    text_or_none,
)
from proxy.wire.codec import RefusedCall, RefusedResponse

LEGACY = "function_call"


@dataclass(slots=True, eq=False)
class StreamedCall:
    """One call while its fragments come in, and what was ruled on it."""

    round: Round
    index: int | None  # as on the wire
    kind: str | None = None
    id: str | None = None
    name: str = ""
    texts: list[str] = field(default_factory=list)
    value: Json = None  # arguments that came as an object
    extra: dict[str, Json] = field(default_factory=dict)  # a vendor's own fields beside the body
    new_index: int | None = None  # where the client will see it
    refusal: str | None = None
    ruled: bool = False
    cut_off: bool = False  # refused because it is not whole; not worth remembering
    named: int = 0  # in how many pieces the name came
    repeated: bool = False
    fault: str | None = None  # why clients may read it differently
    restored_id: str = ""  # the id under which a history can carry it

    def add(self, kind: str | None, body: dict[str, Json], where: str) -> None:
        if kind is not None:
            if self.kind not in (None, kind):
                raise WireError(f"{where}: a fragment of type {kind} in a call of type {self.kind}")
            self.kind = kind
        name = text_or_none(body.get("name"), f"{where}.name")
        if name and name == self.name:  # some repeat the whole name in every fragment
            self.repeated = True
        elif name:
            self.name, self.named = self.name + name, self.named + 1
        if self.repeated and self.named > 1:
            self.fault = "the name of the call came in pieces and as a whole"
        arguments = body.get("input" if self.kind == "custom" else "arguments")
        if isinstance(arguments, str):
            if arguments:
                self.texts.append(arguments)
        elif arguments is not None:
            if self.value is not None:
                raise WireError(f"{where}: the arguments came as an object twice")
            self.value = arguments
        if self.value is not None and self.texts:
            raise WireError(f"{where}: the arguments came as text and as an object")

    def arguments(self) -> Json:
        return _whole("".join(self.texts)) if self.value is None else self.value

    def to_call(self, response_id: str | None) -> Call:
        call = make_call(
            self.arguments(),
            kind=self.kind or "function",
            call_id=self.id,
            name=self.name,
            response_id=response_id,
        )
        fault = self.fault or (None if self.name else "the call has no name")
        return call if fault is None else replace(call, arguments=None, fault=fault)

    def body(self) -> dict[str, Json]:
        key = "input" if self.kind == "custom" else "arguments"
        return {"name": self.name, key: self.arguments()}

    def entry(self) -> dict[str, Json]:
        """The call as an assistant message in a history carries it."""
        kind = self.kind or "function"
        return {"id": self.restored_id, "type": kind, kind: self.body()} | self.extra


@dataclass(slots=True, eq=False)
class Round:
    """The calls of one choice up to its finish reason."""

    choice: StreamedChoice
    calls: list[StreamedCall] = field(default_factory=list)
    reason: str | None = None
    closed: bool = False
    settled: bool = False  # closed, ruled on, its calls' places with the client known

    @property
    def refused(self) -> list[StreamedCall]:
        return [call for call in self.calls if call.refusal is not None]


@dataclass(slots=True, eq=False)
class StreamedChoice:
    """One choice of the answer: its message so far and its calls."""

    index: int
    fields: dict[str, list[Json]] = field(default_factory=dict)
    done: list[StreamedCall] = field(default_factory=list)  # of earlier rounds
    round: Round | None = None
    current: dict[int | str | None, StreamedCall] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)  # wire index -> the client's index
    renumbers: bool = False
    has_role: bool = False  # the stream says whose message this is

    def note(self, delta: dict[str, Json]) -> None:
        """Keeps what the message says besides its calls: a refusal needs the whole of it later."""
        self.has_role = self.has_role or bool(delta.get("role"))
        for key, value in delta.items():
            if value is None or value == "" or key in ("role", "tool_calls", LEGACY):
                continue
            self.fields.setdefault(key, []).append(value)

    def message(self) -> dict[str, Json]:
        """The fields noted: texts and lists joined, else the last value stands."""
        made = {key: _joined(values) for key, values in self.fields.items()}
        if isinstance(details := made.get("reasoning_details"), list):
            made["reasoning_details"] = _whole_details(details)
        return made

    def fragment(self, entry: dict[str, Json], where: str) -> StreamedCall:
        """Adds one entry of `delta.tool_calls` to its call."""
        index = entry.get("index")
        if index is not None and (type(index) is not int or index < 0):
            raise WireError(f"{where}.index: expected a number from 0")
        call_id = text_or_none(entry.get("id"), f"{where}.id") or None
        kind = function_kind(entry, where)
        body = object_or_none(entry.get(kind or "function"), f"{where}.{kind}") or {}
        call = self.current.get(index)
        if call is None or self._begins(call, call_id, body, index):
            call = self._begin(index, index)
        elif call_id is not None and call.id not in (None, call_id):
            call.fault = "the id of the call changed inside it"
        call.id = call.id or call_id
        call.add(kind, body, where)
        call.extra |= {k: v for k, v in entry.items() if k not in _OWN and v is not None}
        return call

    def legacy_fragment(self, body: dict[str, Json], where: str) -> StreamedCall:
        """Adds a `delta.function_call` to the choice's one legacy call."""
        call = self.current.get(LEGACY) or self._begin(LEGACY, None)
        call.add("legacy_function", body, where)
        return call

    @staticmethod
    def _begins(
        call: StreamedCall, call_id: str | None, body: dict[str, Json], index: int | None
    ) -> bool:
        if call_id is not None and call.id is not None:
            return call_id != call.id and (index is None or bool(body.get("name")))
        return index is None and bool(body.get("name")) and bool(call.name)

    def _begin(self, key: int | str | None, index: int | None) -> StreamedCall:
        if self.round is None:
            self.round = Round(self)
        call = StreamedCall(self.round, index)
        self.current[key] = call
        self.round.calls.append(call)
        return call

    def close(self, reason: str | None) -> Round | None:
        """Ends the round, if one is open: its calls are complete."""
        closed, self.round = self.round, None
        self.current.clear()
        if closed is not None:
            closed.reason, closed.closed = reason, True
            _fault_shared(closed.calls)
        return closed

    def settle(self, settled: Round) -> None:
        """Gives the calls that are left their places: dense, for openai-python falls over a hole."""
        self.renumbers = self.renumbers or bool(settled.refused)
        for call in settled.calls:
            if call.refusal is None and call.index is not None:
                if call.index not in self.places:
                    free = max(self.places.values(), default=-1) + 1
                    self.places[call.index] = free if self.renumbers else call.index
                call.new_index = self.places[call.index]
        self.done += settled.calls
        settled.settled = True

    @property
    def has_calls_left(self) -> bool:
        return any(call.refusal is None for call in self.done)

    @property
    def remembered(self) -> list[StreamedCall]:
        """The calls whose refusal the next request has to know of."""
        return [call for call in self.done if call.refusal is not None and not call.cut_off]


def _fault_shared(calls: Sequence[StreamedCall]) -> None:
    """Faults calls of one round that could be read as one call together; no index is read as 0."""
    groups: dict[int | None, list[StreamedCall]] = {}
    for call in calls:
        if call.kind != "legacy_function":
            groups.setdefault(call.index, []).append(call)
    mixed = None in groups and len(groups) > 1  # some have an index, some have none
    for group in groups.values():
        apart = all(c.value is not None or "".join(c.texts).lstrip()[:1] == "{" for c in group)
        if mixed or (len(group) > 1 and not apart):
            for call in group:
                call.fault = call.fault or "calls share one index and could be read as one"


_OWN = frozenset({"index", "id", "type", "function", "custom"})


def _joined(values: list[Json]) -> Json:
    if all(isinstance(value, str) for value in values):
        return _whole("".join(values)).encode("utf-8", "replace").decode()
    if any(isinstance(value, list) for value in values):  # Mistral's content: text or parts
        parts = ([{"type": "text", "text": v}] if isinstance(v, str) else v for v in values)
        return [item for part in parts if isinstance(part, list) for item in part]
    return values[-1]


def _whole_details(details: list[Json]) -> list[Json]:
    """OpenRouter's reasoning blocks, made whole of their fragments, which share type and index.

    Source: https://openrouter.ai/docs/use-cases/reasoning-tokens (read 2026-11).
    """
    made: list[Json] = []
    for one in details:
        last = made[-1] if made else None
        if not (
            isinstance(one, dict)
            and isinstance(last, dict)
            and one.get("index") is not None
            and (one.get("type"), one["index"]) == (last.get("type"), last.get("index"))
        ):
            made.append(dict(one) if isinstance(one, dict) else one)
            continue
        for key, value in one.items():
            if value is None:
                continue
            if key in _GROWING and isinstance(value, str) and isinstance(last.get(key), str):
                value = last[key] + value
            last[key] = value
    return made


_GROWING = frozenset({"text", "summary", "data"})


def _whole(text: str) -> str:
    """Joins halves of surrogate pairs that came in two frames; in UTF-16 they meet again."""
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def memory_of(
    choices: Iterable[StreamedChoice], ref: str, response_ids: Sequence[str]
) -> RefusedResponse:
    """All that is refused so far: a later choice's memory replaces an earlier one's."""
    originals: list[Json] = []
    refused: list[RefusedCall] = []
    keys = [f"ref:{ref}", *(f"response:{name}" for name in response_ids)]
    for choice in choices:
        gone = choice.remembered
        if not gone:
            continue
        whole = [call for call in choice.done if not call.cut_off]
        legacy = [call.body() for call in whole if call.kind == "legacy_function"]
        entries: list[Json] = [c.entry() for c in whole if c.kind != "legacy_function"]
        originals.append(history_message(choice.message(), entries, legacy[0] if legacy else None))
        keys += [f"call:{call.id}" for call in whole if call.refusal is None and call.id]
        for call in gone:
            kind = call.kind or "function"
            call_id = None if kind == "legacy_function" else call.restored_id
            refused.append(RefusedCall(call_id, call.name, kind, call.refusal or ""))
    return RefusedResponse(
        ref=ref,
        provider=PROVIDER,
        keys=tuple(dict.fromkeys(keys)),
        original=originals[0] if len(originals) == 1 else originals,
        refused=tuple(refused),
    )
