"""Where a call could hide in a document of any model's.

What belongs here: the one search that decides whether a shape nobody here reads may pass. Names are
compared without case, `_` and `-`, since clients differ in all three.
"""

from __future__ import annotations

from collections.abc import Collection

from proxy.errors import WireError
from proxy.model import Json

_NAMES = frozenset(
    {"tooluse", "tooluses", "toolcall", "toolcalls", "functioncall", "functioncalls"}
    | {"toolrequests", "returncontrol", "customtoolcall"}
)
_KINDS = ("tooluse", "toolcall", "functioncall")
_NOTHING: tuple[Json, ...] = (None, "", [], {}, False, 0)


def may_hold_call(value: Json) -> bool:
    """Tells whether some object has a member that is, by its name or type, a call."""
    stack = [value]
    while stack:
        at = stack.pop()
        if isinstance(at, list):
            stack += at
        elif isinstance(at, dict):
            for key, inner in at.items():
                if _plain(key) in _NAMES and inner not in _NOTHING:
                    return True
                if key.lower() == "type" and isinstance(inner, str):
                    if _plain(inner).endswith(_KINDS):
                        return True
                else:
                    stack.append(inner)
    return False


def refuse_hidden(document: dict[str, Json], read: Collection[str], what: str) -> None:
    """Refuses a document with a call outside of the members that its codec reads.

    Raises:
        WireError: another client may find a call that was not reported.
    """
    for key, value in document.items():
        if key not in read and may_hold_call({key: value}):
            raise WireError(f"{what}: a call in an unexpected place - at $.{key}")


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")
