"""Arguments that come in pieces (`partialArgs`), put together as a client would.

What belongs here: `willContinue` and JSON paths. Vertex can stream a call: a part with the name, parts
with `partialArgs`, and an empty one at the end. Each piece names its place by a JSON path (RFC 9535,
names and indexes only) and has one value; a text goes on in the next piece of the same path while it
says `willContinue`. What cannot be put together in one way only is a fault of the call.
https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from proxy.model import Json
from proxy.wire.gemini.parts import get, objects

_STEP = re.compile(
    r"""\.([A-Za-z_\u0080-\uffff][\w\u0080-\uffff-]*)|\[(\d{1,4})\]|\['((?:[^'\\]|\\.)*)'\]"""
    r"""|\["((?:[^"\\]|\\.)*)"\]"""
)
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")
_MAX_DEPTH = 64


class PartialCall:
    """One call whose parts are still coming."""

    def __init__(self) -> None:
        self.call: dict[str, Json] = {}  # id and name, as the first part says them
        self.fault: str | None = None
        self._open: tuple[str | int, ...] | None = None  # the path of a text that goes on
        # In the order in which they came, so that a list's first item is put before its second.
        self._texts: dict[tuple[str | int, ...], list[str]] = {}
        self._values: dict[tuple[str | int, ...], Json] = {}  # `None` for a text, until it is whole
        self._whole: Json = None

    def absorb(self, call: Mapping[str, Json]) -> bool:
        """Takes the next part; returns whether it is the last.

        Raises:
            WireError: a field is there in two spellings.
        """
        for name in ("id", "name"):
            value = get(call, name)
            if value is None or value == "":
                continue
            if self.call.get(name, value) != value:
                self.fault = f"the call's {name} changed while it was streamed"
            self.call[name] = value
        args = get(call, "args")
        if args is not None and args != {}:
            if self._whole is not None and self._whole != args:
                self.fault = "two versions of the arguments"
            self._whole = args
        for piece in objects(get(call, "partialArgs"), "partialArgs"):
            self._take(piece)
        return get(call, "willContinue") is not True

    def arguments(self) -> Json:
        """Returns the arguments; `fault` is set where the parts do not make up one value."""
        if self._open is not None:
            self.fault = self.fault or "an argument did not end"
        if self._whole is not None:
            if self._values:
                self.fault = self.fault or "the arguments came whole and in pieces"
            return self._whole
        arguments: dict[str, Json] = {}
        for path, value in self._values.items():
            texts = self._texts.get(path)
            self._put(arguments, path, value if texts is None else "".join(texts))
        return arguments

    def _take(self, piece: Mapping[str, Json]) -> None:
        path = _path_of(get(piece, "jsonPath"))
        named = [name for name in _VALUES if get(piece, name) is not None]
        if not named and path != self._open and ("nullValue" in piece or "null_value" in piece):
            named = ["nullValue"]  # protobuf writes its one value as JSON's null
        if path is None or len(named) > 1:
            self.fault = self.fault or "an argument's piece has no single place or value"
            return
        goes_on = get(piece, "willContinue") is True
        if self._open is not None and self._open != path:
            self.fault = self.fault or "an argument did not end"
        if not named or named == ["stringValue"]:
            text = get(piece, "stringValue") if named else ""
            if not isinstance(text, str) or (path in self._values and self._open != path):
                self.fault = self.fault or "an argument came twice"
                return
            if not named and path not in self._texts and not goes_on:
                self.fault = self.fault or "an argument without a value"
            self._values.setdefault(path, None)
            self._texts.setdefault(path, []).append(text)
            self._open = path if goes_on else None
            return
        value = None if named == ["nullValue"] else get(piece, named[0])
        if self._open is not None or goes_on:
            self.fault = self.fault or "only texts come in pieces"
        if path in self._values:
            self.fault = self.fault or "an argument came twice"
            return
        self._values[path] = value

    def _put(self, arguments: dict[str, Json], path: tuple[str | int, ...], value: Json) -> None:
        at: Json = arguments
        for step, following in zip(path, (*path[1:], None), strict=True):
            made: Json = value if following is None else ([] if type(following) is int else {})
            if isinstance(step, int):
                if not isinstance(at, list) or step > len(at):
                    self.fault = self.fault or "an argument's place does not exist"
                    return
                if step == len(at):
                    at.append(made)
                elif following is None:
                    self.fault = self.fault or "an argument came twice"
                at = at[step]
                continue
            if not isinstance(at, dict):
                self.fault = self.fault or "an argument's place does not exist"
                return
            if step in at and following is None:
                self.fault = self.fault or "an argument came twice"
            at = at.setdefault(step, made)


def _path_of(value: Json) -> tuple[str | int, ...] | None:
    if not isinstance(value, str) or not value.startswith("$"):
        return None
    steps: list[str | int] = []
    at = 1
    while at < len(value):
        found = _STEP.match(value, at)
        if found is None or len(steps) == _MAX_DEPTH:
            return None
        name, index, single, double = found.groups()
        if index is not None:
            steps.append(int(index))
        elif name is not None:
            steps.append(name)
        else:
            quoted = single if single is not None else double
            if "\\" in quoted:
                return None
            steps.append(quoted)
        at = found.end()
    return tuple(steps) if steps and isinstance(steps[0], str) else None
