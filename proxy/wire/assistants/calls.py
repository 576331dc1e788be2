"""Where calls stand in the documents of the Assistants API, and what they say.

What belongs here: the three places, read the same way in bodies, lists and stream events.

- *action*: `run.required_action.submit_tool_outputs.tool_calls[]`. The client acts on these. Azure's
  `submit_tool_approval` has the same form: the client approves what the server then runs.
- *step*: `step.step_details.tool_calls[]`, whole.
- *delta*: `delta.step_details.tool_calls[]`, a fragment of a step in a stream.

In a step, an entry with a `function` is the client's, every other one ran on the server
(`code_interpreter`, `file_search`, Azure's own). A function call that has its `output` already is
history: nobody runs it again, and it was judged when it was asked for.

Source: https://platform.openai.com/docs/api-reference/runs/object, …/run-steps/step-object, and
https://learn.microsoft.com/azure/ai-services/agents (all read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.jsontext import call_from_text, call_from_value

PROVIDER = "openai.assistants"
ACTION, STEP, DELTA = "action", "step", "delta"

# What a server-side call gave back; not what it was asked to do.
_OUTCOMES = frozenset({"output", "outputs", "results"})


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of a list of calls."""

    form: str  # ACTION, STEP or DELTA
    top: dict[str, Json]  # the run, the step or the delta event it is in
    owner: dict[str, Json]  # whose `tool_calls` it is in
    entry: dict[str, Json]
    position: int
    where: str

    @property
    def run_id(self) -> str | None:
        found = self.top.get("id") if self.form == ACTION else self.top.get("run_id")
        return found if isinstance(found, str) else None

    @property
    def is_clients(self) -> bool:
        """Whether the client would run it."""
        entry = self.entry
        if self.form == ACTION:
            return True
        if entry.get("function") is None:
            return self.form != DELTA and entry.get("type") == "function"
        body = entry["function"]
        answered = isinstance(body, dict) and isinstance(body.get("output"), str)
        return self.form == DELTA or not answered

    @property
    def is_providers(self) -> bool:
        """Whether the server ran it, and it has come to its end."""
        if self.form != STEP or self.entry.get("function") is not None:
            return False
        return self.entry.get("type") != "function" and self.top.get("status") != "in_progress"


def places(document: dict[str, Json], what: str) -> Iterator[Place]:
    """Yields every entry in a run, a step, a delta event, or a list of them.

    Raises:
        WireError: something stands where calls could be and cannot be read.
    """
    yield from _of(document, f"{what}: $")
    data = document.get("data")
    for n, item in enumerate(data if isinstance(data, list) else []):
        if isinstance(item, dict):
            yield from _of(item, f"{what}: $.data[{n}]")


def _of(top: dict[str, Json], where: str) -> Iterator[Place]:
    action = _object(top, "required_action", where)
    for name, owner in action.items():
        if isinstance(owner, dict):
            yield from _entries(ACTION, top, owner, f"{where}.required_action.{name}")
        elif isinstance(owner, list) and owner:
            raise WireError(f"{where}.required_action.{name}: a list of unknown meaning")
    yield from _entries(STEP, top, _object(top, "step_details", where), f"{where}.step_details")
    delta = _object(top, "delta", where)
    details = _object(delta, "step_details", f"{where}.delta")
    yield from _entries(DELTA, top, details, f"{where}.delta.step_details")


def _object(holder: dict[str, Json], key: str, where: str) -> dict[str, Json]:
    value = holder.get(key)
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise WireError(f"{where}.{key}: expected an object, got {type(value).__name__}")


def _entries(
    form: str, top: dict[str, Json], owner: dict[str, Json], where: str
) -> Iterator[Place]:
    entries = owner.get("tool_calls")
    if entries is None:
        return
    if not isinstance(entries, list):
        raise WireError(f"{where}.tool_calls: expected a list")
    for n, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise WireError(f"{where}.tool_calls[{n}]: expected an object")
        yield Place(form, top, owner, entry, n, f"{where}.tool_calls[{n}]")


def value_of(place: Place) -> Json:
    """Returns the arguments of an entry as they stand on the wire."""
    if place.is_providers:
        body = place.entry.get(str(place.entry.get("type")))
        if not isinstance(body, dict):
            return body if isinstance(body, list) else {}
        return {k: v for k, v in body.items() if k not in _OUTCOMES}
    body = place.entry.get("function")
    inner = body if isinstance(body, dict) else place.entry
    return inner.get("arguments")


def call_of(place: Place, run_id: str | None, arguments: Json) -> Call:
    """Makes the Call of a whole entry.

    Raises:
        WireError: an id or a name that is no text.
    """
    entry = place.entry
    kind = entry.get("type")
    kind = kind if isinstance(kind, str) else "function"
    call_id = text(entry.get("id"), f"{place.where}.id")
    if place.is_providers:
        return call_from_value(
            arguments,
            id=call_id,
            name=kind,
            provider=PROVIDER,
            kind=kind,
            response_id=run_id,
            executor="provider",
        )
    body = entry.get("function")
    if body is not None and not isinstance(body, dict):
        raise WireError(f"{place.where}.function: expected an object")
    inner = body if body is not None else entry
    space = entry.get("server_label")
    return make_call(
        arguments,
        call_id=call_id,
        name=text(inner.get("name"), f"{place.where}.name"),
        run_id=run_id,
        kind="function" if body is not None else kind,
        namespace=space if isinstance(space, str) else None,
    )


def make_call(
    arguments: Json,
    *,
    call_id: str | None,
    name: str | None,
    run_id: str | None,
    kind: str = "function",
    namespace: str | None = None,
) -> Call:
    """Makes the Call of a function, or of what the client is asked to approve."""
    is_text = arguments is None or isinstance(arguments, str)
    make = call_from_text if is_text else call_from_value
    call = make(
        "" if arguments is None else arguments,
        id=call_id,
        name=name or "",
        provider=PROVIDER,
        kind=kind,
        response_id=run_id,
        namespace=namespace,
    )
    if not call_id or not name:
        return replace(call, arguments=None, fault="the call has no id or no name")
    return call


def text(value: Json, where: str) -> str | None:
    """Returns a text, None for null.

    Raises:
        WireError: it is neither.
    """
    if value is None or isinstance(value, str):
        return value
    raise WireError(f"{where}: expected text, got {type(value).__name__}")


def take_out(place: Place) -> None:
    """Takes one entry out of its list."""
    left = [entry for entry in place.owner["tool_calls"] if entry is not place.entry]
    place.owner["tool_calls"] = left


def explain(run: dict[str, Json], texts: list[str]) -> None:
    """Says in a run whose calls are all gone why they are.

    The run still waits for outputs, so its status stays: a client that hands in its (empty) list of
    outputs goes on, since `restore` adds those of the refused calls. `last_error` is the one field of
    a run that is made for a text to be read by people.
    """
    if run.get("last_error") is None:
        run["last_error"] = {"code": "server_error", "message": "\n\n".join(texts)}
