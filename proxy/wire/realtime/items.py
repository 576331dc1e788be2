"""What the Realtime gate knows of one call and one message, and how ids are read.

What belongs here: values and small readings without the gate's state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.responses.memory import Slot

PROVIDER = "openai.realtime"
REMEMBERED = 4096
"""Names a connection keeps of each sort."""
LAST = (".done", ".retrieved")
"""How the events end that show an item as a whole."""

type Item = dict[str, Json]


@dataclass(slots=True, eq=False)
class Held:
    """One call from its first message on."""

    slot: Slot
    response_id: str | None
    key: int = -1
    told: bool = False  # the refusal's text was streamed
    answered: bool = False  # its failed output went up

    @property
    def item_id(self) -> str:
        return name_of(self.slot.item)


@dataclass(slots=True, eq=False)
class Entry:
    """One message in the queue."""

    data: bytes
    event: Item
    kind: str
    calls: tuple[Held, ...] = ()
    changed: bool = False

    @property
    def item_ids(self) -> set[Json]:
        item = self.event.get("item")
        inner = item.get("id") if isinstance(item, dict) else None
        return {v for v in (inner, self.event.get("item_id")) if isinstance(v, str)}


def as_realtime(call: Call) -> Call:
    return replace(call, provider=PROVIDER)


def is_final(item: Item, kind: str) -> bool:
    return kind.endswith(LAST) or item.get("status") not in (None, "in_progress")


def name_of(item: Item) -> str:
    """What a call is known by.

    Raises:
        WireError: it has no id at all, so that no later message could be told to be its own.
    """
    name = id_of(item)
    if name is None:
        raise WireError(f"{PROVIDER}: a call without an id")
    return name


def id_of(item: Json) -> str | None:
    if not isinstance(item, dict):
        return None
    return text_or_none(item.get("id")) or text_or_none(item.get("call_id"))


def text_or_none(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None


def objects_in(value: Json, *, but: frozenset[int] = frozenset()) -> Iterator[Item]:
    """Every object in a value, but not those whose `id()` is in `but`, nor what is in them."""
    if id(value) in but:
        return
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            if isinstance(inner, dict | list):
                yield from objects_in(inner, but=but)
    elif isinstance(value, list):
        for inner in value:
            yield from objects_in(inner, but=but)


def note[K](names: OrderedDict[K, None], name: K) -> None:
    names[name] = None
    if len(names) > REMEMBERED:
        names.popitem(last=False)


def bound[K, V](known: OrderedDict[K, V], keep: Callable[[V], bool] = lambda _: False) -> None:
    if len(known) > REMEMBERED:
        oldest = next(iter(known))
        if keep(known[oldest]):
            raise WireError(f"{PROVIDER}: more than {REMEMBERED} calls wait")
        del known[oldest]
