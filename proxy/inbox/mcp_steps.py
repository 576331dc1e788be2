"""What a bridge of a stdio tool server is told to do, and what it does where nobody tells it.

What belongs here: the steps, their form on the admin socket, and the answers that stand in the place of
a line that was not judged. It is all that `checkrein mcp` imports of the judging where a proxy runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from proxy.model import Json
from proxy.wire.mcp import messages


class From(StrEnum):
    """Who sent a line."""

    CLIENT = "client"
    SERVER = "server"


class To(StrEnum):
    CLIENT = "client"
    SERVER = "server"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next about a line; with neither data nor a note, `NOBODY` means: it waits."""

    to: To
    data: bytes | None = None  # without its newline; None: the line as it came
    note: str | None = None  # for the operator
    passing: bool = False  # told while it waits; what becomes of the line is still open

    @property
    def ends(self) -> bool:
        """Whether something has become of the line."""
        return self.to is not To.NOBODY and not self.passing


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a wrapper says of itself."""

    server: str
    token: str | None = None  # the credential of the run it belongs to
    session: str | None = None


class Given(msgspec.Struct, frozen=True):
    """A step on its way to a wrapper."""

    to: str
    data: str | None = None
    note: str | None = None
    passing: bool = False

    @classmethod
    def of(cls, step: Step) -> Given:
        data = step.data.decode() if step.data is not None else None
        return cls(str(step.to), data, step.note, step.passing)

    @property
    def step(self) -> Step:
        data = self.data.encode() if self.data is not None else None
        return Step(To(self.to), data, self.note, self.passing)


def closed(origin: From, line: bytes, text: str) -> list[Step]:
    """Returns what stands in the place of a line that was not judged; none of it passes.

    Read leniently: whatever asked must not wait for ever.
    """
    steps = [Step(To.NOBODY, note=f"a line of the {origin} was not passed on: {text}")]
    try:
        value = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return steps
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict) and (step := _closed_one(origin, item, text)) is not None:
            steps.append(step)
    return steps


def _closed_one(origin: From, item: dict[str, Json], text: str) -> Step | None:
    id_ = item.get("id")
    if isinstance(id_, bool) or not isinstance(id_, int | str):
        return None
    try:
        refused = messages.error(id_, messages.INTERNAL_ERROR, text)
        if "method" not in item:
            # A client's answer that is lost leaves the server to its own timeout.
            return Step(To.CLIENT, refused) if origin is From.SERVER else None
        if origin is From.SERVER:
            return Step(To.SERVER, refused)
        if item["method"] == messages.CALL:
            meta = (item.get("params") or {}).get("_meta") or {}
            refused = messages.tool_error(id_, text, modern=messages.VERSION_KEY in meta)
    except (ValueError, TypeError, AttributeError):  # a lone surrogate in the id, odd params
        return None
    return Step(To.CLIENT, refused)
