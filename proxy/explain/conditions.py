"""Which parts of a condition would have to be otherwise for the whole to be.

What belongs here: reading that off the values of the parts. It is what is told where no other argument helps: then it is the
session's past, the user's words or the clock that decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.explain.parts import Part, State
from proxy.policy.celtree import Kind, Node, parse

_WHICH_CALLS = ("effect.kind", "tool", "effect.reversibility", "act.is", "side", "provider")
"""What a condition says of the calls that it is about: another call is no answer."""


@dataclass(frozen=True, slots=True)
class Flip:
    """What would turn a condition: all of `all_of`, or one of `one_of`; texts such as `act.asked is true`."""

    one_of: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()

    def __str__(self) -> str:
        if len(self.one_of) + len(self.all_of) == 1:
            return (*self.one_of, *self.all_of)[0]
        if self.one_of:
            return f"one of: {'; '.join(self.one_of)}"
        return f"all of: {'; '.join(self.all_of)}"


def what_would_turn(text: str, parts: Sequence[Part]) -> Flip | None:
    """Returns what would make a condition false that is true; None where its parts say nothing."""
    values = {part.text: part.value for part in parts if part.state is State.VALUE}
    found = _turned(parse(text), False, values)
    if not found:
        return None
    kind, texts = found
    return Flip(one_of=texts) if kind == "any" else Flip(all_of=texts)


def _turned(
    node: Node, to: bool, values: Mapping[str, object]
) -> tuple[str, tuple[str, ...]] | None:
    kind = node.kind
    if kind is Kind.NOT:
        return _turned(node.children[0], not to, values)
    if kind is Kind.CONDITION:
        chosen = values.get(_plain(node.children[0]))
        return _turned(node.children[1 if chosen is True else 2], to, values)
    if kind in (Kind.AND, Kind.OR):
        one_is_enough = (kind is Kind.AND) is not to
        other = [c for c in node.children if values.get(_plain(c)) is not to]
        if one_is_enough:
            other = [c for c in other if not _names_the_call(c)] or other
        made = [t for child in other if (t := _turned(child, to, values)) is not None]
        if len(made) == 1:
            return made[0]
        return ("any" if one_is_enough else "all"), tuple(_joined(one) for one in made)
    if kind is Kind.RELATION and node.name in _OPPOSITES and to is False:
        return "any", (
            f"{_plain(node.children[0])} {_OPPOSITES[node.name]} {_plain(node.children[1])}",
        )
    return "any", (f"{_plain(node)} is {'true' if to else 'false'}",)


_OPPOSITES = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def _joined(found: tuple[str, tuple[str, ...]]) -> str:
    kind, texts = found
    return (
        texts[0] if len(texts) == 1 else f"({(' or ' if kind == 'any' else ' and ').join(texts)})"
    )


def _names_the_call(node: Node) -> bool:
    """Whether a part only says which calls the condition is about."""
    inner = node.children[0] if node.kind is Kind.NOT else node
    read = inner.children[0] if inner.children else inner
    return read.dotted in _WHICH_CALLS or inner.dotted in _WHICH_CALLS


def _plain(node: Node) -> str:
    return " ".join(node.text.split())
