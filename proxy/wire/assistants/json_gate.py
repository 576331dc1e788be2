"""The gate over a run, a step, or a list of them, as one JSON body.

A run is polled: the same calls come again with each answer, under the same ids and the same run, so
they are decided once. What is refused is taken out of the list of calls; the run's status stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.model import Json
from proxy.wire.assistants.calls import (
    ACTION,
    Place,
    call_of,
    explain,
    places,
    take_out,
    value_of,
)
from proxy.wire.assistants.memory import memory_of
from proxy.wire.chat.calls import error_document
from proxy.wire.codec import RefusedResponse
from proxy.wire.json_gate import Found, JsonGate
from proxy.wire.jsontext import encode

_WHAT = "openai.assistants response"


class AssistantsJsonGate(JsonGate):
    """Holds an answer back until its calls are ruled on."""

    def __init__(self, *, ref: str, status: int, run_id: str | None) -> None:
        super().__init__(what=_WHAT, status=status)
        self._ref = ref
        self._run_id = run_id  # as the path names it
        self._places: list[Place] = []

    @property
    def response_id(self) -> str | None:
        """The run, which later requests name in their path."""
        is_run = self._document.get("object") == "thread.run"
        found = self._document.get("id") if is_run else None
        return found if isinstance(found, str) else None

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        found: list[Found] = []
        for place in places(document, _WHAT):
            if not (place.is_clients or place.is_providers):
                continue
            value = value_of(place)
            call = call_of(place, place.run_id or self._run_id, value)
            self._places.append(place)
            inner = value if isinstance(value, dict | list) else None
            found.append(Found(call, value=inner, seen=place.is_providers))
        return found

    def strip(
        self, document: dict[str, Json], refused: Mapping[int, str]
    ) -> RefusedResponse | None:
        runs: dict[int, tuple[dict[str, Json], list[str]]] = {}
        for n, text in refused.items():
            place = self._places[n]
            take_out(place)
            if place.form == ACTION:
                runs.setdefault(id(place.top), (place.top, []))[1].append(text)
        for run, texts in runs.values():
            left = [p for p in places(run, _WHAT) if p.form == ACTION]
            if not left:
                explain(run, texts)
        return memory_of(
            self._ref,
            (
                (self._found[n].call, refused.get(n))
                for n, place in enumerate(self._places)
                if place.form == ACTION
            ),
        )

    def fail(self, text: str) -> bytes:
        return encode(error_document(text))
