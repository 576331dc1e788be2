"""A call's arguments beside those of the last similar one.

What belongs here: values flattened to paths, and what became of each. Both sides are as they were kept: redacted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.inbox.views import shown
from proxy.inbox.web.presenting import short
from proxy.model import Json

_MOST_PATHS = 200
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Difference:
    """One argument; `what` is same, changed, added or gone."""

    path: str
    what: str
    before: str
    after: str


def differences(before: Json, after: Json) -> list[Difference]:
    """Returns every argument of both, the changed ones first."""
    old, new = dict(_flat(before)), dict(_flat(after))
    made = []
    for path in dict.fromkeys((*new, *old)):
        if path not in old:
            what = "added"
        elif path not in new:
            what = "gone"
        else:
            what = "same" if old[path] == new[path] else "changed"
        made.append(
            Difference(
                short(path, _LONGEST),
                what,
                short(old.get(path, ""), _LONGEST),
                short(new.get(path, ""), _LONGEST),
            )
        )
    return sorted(made, key=lambda one: one.what == "same")


def _flat(value: Json) -> Iterator[tuple[str, str]]:
    left: list[tuple[str, Json]] = [("", shown(value))]
    for _ in range(_MOST_PATHS):
        if not left:
            return
        path, node = left.pop(0)
        if isinstance(node, dict) and node:
            left += [(f"{path}.{key}".lstrip("."), item) for key, item in node.items()]
        elif isinstance(node, list) and node:
            left += [(f"{path}[{i}]", item) for i, item in enumerate(node)]
        else:
            yield path or "(all)", json.dumps(node, ensure_ascii=False, default=str)
    yield "(more)", f"{len(left)} more"
