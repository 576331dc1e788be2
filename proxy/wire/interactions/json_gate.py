"""The gate over an interaction that comes as one JSON object: created, fetched or cancelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from proxy.model import Json
from proxy.wire.codec import RefusedResponse
from proxy.wire.gemini.parts import get, key_of
from proxy.wire.interactions.steps import (
    Role,
    Step,
    call_of,
    lists_of,
    memory,
    role_of,
    settled_status,
    text_step,
)
from proxy.wire.json_gate import Found, JsonGate

_WHAT = "interactions: response"


class InteractionGate(JsonGate):
    """`codec.ResponseGate` for `application/json`."""

    def __init__(self, *, status: int, ref: str, error_body: Callable[[int, str], bytes]) -> None:
        super().__init__(what=_WHAT, status=status)
        self._ref = ref
        self._error_body = error_body
        self._places: list[tuple[str, list[Json], int]] = []

    @property
    def response_id(self) -> str | None:
        found = get(self._document, "id")
        return found if isinstance(found, str) and found else None

    def find_calls(self, document: dict[str, Json]) -> Sequence[Found]:
        found: list[Found] = []
        for form, steps in lists_of(document, _WHAT):
            for n, step in enumerate(steps):
                role = role_of(step)
                if role is not Role.NONE:
                    self._places.append((form, steps, n))
                    call = call_of(step, self.response_id)
                    found.append(Found(call, value=step, seen=role is Role.PROVIDER))
        return found

    def strip(
        self, document: dict[str, Json], refused: Mapping[int, str]
    ) -> RefusedResponse | None:
        mine = [n for n, found in enumerate(self._found) if not found.seen]
        calls: list[tuple[Step, Json]] = []
        for n in mine:
            _, steps, at = self._places[n]
            calls.append((steps[at], self._found[n].call))
        form, whole, _ = self._places[min(refused)]
        made = memory(
            ref=self._ref,
            response_id=self.response_id,
            form=form,
            steps=[s for s in whole if get(s, "type") not in ("user_input", "function_result")],
            calls=calls,
            refused={mine.index(n): text for n, text in refused.items()},
        )
        for n, text in refused.items():
            form, steps, at = self._places[n]
            steps[at] = text_step(text, form)
        status = key_of(document, "status")
        if status is not None and (
            changed := settled_status(document, calls_left=len(refused) < len(mine))
        ):
            document[status] = changed["status"]
        return made

    def fail(self, text: str) -> bytes:
        return self._error_body(502, text)
