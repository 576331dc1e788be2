"""CEL conditions held against each other: whether one is true wherever the other is.

What belongs here: implication as far as it can be seen from the trees. How it works. Both are read as trees without blanks,
parentheses and the order of `&&` and `||`. One implies the other where that follows from their parts: a part more
under `&&`, a part less under `||`, a number that is compared with a higher one, a shorter list after `in`, a longer
prefix. A condition that gives no truth for some call holds it; what is said here stays true with that, since CEL's `&&` and
`||` take no notice of a fault where the other side decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from proxy.policy.celtree import Kind, Node, conjuncts, parse, walk
from proxy.policy.diff.changes import Relation


@dataclass(frozen=True, slots=True)
class _Part:
    """A node by what it means; equal parts give equal values."""

    kind: Kind
    name: str
    children: tuple[_Part, ...]
    literal: str
    method: bool
    variables: tuple[str, ...]


def relation(old: str, new: str) -> Relation:
    """Returns where a condition is true, beside another one."""
    trees = parse(old), parse(new)
    if any(node.kind is Kind.OPAQUE for tree in trees for node in walk(tree)):
        return Relation.SAME if old == new else Relation.OTHER
    before, after = map(_part, trees)
    if before == after:
        return Relation.SAME
    wider, narrower = _implies(before, after), _implies(after, before)
    if wider and narrower:
        return Relation.SAME
    return Relation.WIDER if wider else Relation.NARROWER if narrower else Relation.OTHER


def needs_an_effect(text: str) -> bool:
    """Whether a gate's condition is sure to be false for a call without effects, whose `effect.kind` is empty."""
    return any(map(_states_a_kind, conjuncts(parse(text))))


def _states_a_kind(node: Node) -> bool:
    if node.kind is Kind.OR:
        return all(map(needs_an_effect, (child.text for child in node.children)))
    if len(node.children) != 2 or node.children[0].dotted != "effect.kind":
        return False
    if node.kind is Kind.RELATION and node.name == "==":
        return node.children[1].kind is Kind.LITERAL and len(node.children[1].text) > 2
    if node.kind is Kind.RELATION and node.name == "in":
        listed = node.children[1]
        return listed.kind is Kind.LIST and all(
            item.kind is Kind.LITERAL and len(item.text) > 2 for item in listed.children
        )
    return node.kind is Kind.CALL and node.name == "startsWith" and len(node.children[1].text) > 2


def _part(node: Node) -> _Part:
    children = tuple(map(_part, node.children))
    if node.kind in (Kind.AND, Kind.OR):
        flat: list[_Part] = []
        for child in children:
            flat += child.children if child.kind is node.kind else (child,)
        children = tuple(sorted(dict.fromkeys(flat), key=repr))
    leaf = node.kind in (Kind.LITERAL, Kind.OPAQUE)
    literal = _literal(node.text) if leaf else ""
    return _Part(node.kind, node.name, children, literal, node.method, node.variables)


def _literal(text: str) -> str:
    """Returns a literal with one sort of quotation marks, where that is all that differs."""
    inner = text[1:-1]
    quoted = len(text) >= 2 and text[0] == text[-1] == "'" and not {"'", '"'} & set(inner)
    return f'"{inner}"' if quoted else text


def _implies(one: _Part, two: _Part) -> bool:
    """Whether `two` is sure to be true where `one` is."""
    if one == two:
        return True
    if two.kind is Kind.AND:
        return all(_implies(one, part) for part in two.children)
    if one.kind is Kind.OR:
        return all(_implies(part, two) for part in one.children)
    if one.kind is Kind.AND and any(_implies(part, two) for part in one.children):
        return True
    if two.kind is Kind.OR and any(_implies(one, part) for part in two.children):
        return True
    if one.kind is two.kind is Kind.NOT:
        return _implies(two.children[0], one.children[0])
    if one.kind is two.kind is Kind.RELATION and one.children[0] == two.children[0]:
        return _relation_implies(one, two)
    if one.kind is two.kind is Kind.CALL and one.method and one.name == two.name:
        return _text_implies(one, two)
    return False


def _relation_implies(one: _Part, two: _Part) -> bool:
    here, there = one.children[1], two.children[1]
    if two.name == "in" and there.kind is Kind.LIST:
        if one.name == "in" and here.kind is Kind.LIST:
            return set(here.children) <= set(there.children)
        return one.name == "==" and here in there.children
    low, high = _number(here), _number(there)
    if low is None or high is None:
        return False
    match one.name, two.name:
        case (">", ">") | (">=", ">=") | (">", ">="):
            return low >= high
        case (">=", ">"):
            return low > high
        case ("<", "<") | ("<=", "<=") | ("<", "<="):
            return low <= high
        case ("<=", "<"):
            return low < high
    return False


def _text_implies(one: _Part, two: _Part) -> bool:
    """Whether what begins (or ends, or contains) like the one does like the other."""
    if one.children[0] != two.children[0] or len(one.children) != 2 or len(two.children) != 2:
        return False
    long, short = (_text(part.children[1]) for part in (one, two))
    if long is None or short is None:
        return False
    match one.name:
        case "startsWith":
            return long.startswith(short)
        case "endsWith":
            return long.endswith(short)
        case "contains":
            return short in long
    return False


def _number(part: _Part) -> Decimal | None:
    if part.kind is not Kind.LITERAL:
        return None
    try:
        return Decimal(part.literal)
    except InvalidOperation:
        return None


def _text(part: _Part) -> str | None:
    """Returns a plain text literal; one with escapes is not looked into."""
    text = part.literal
    plain = part.kind is Kind.LITERAL and len(text) >= 2 and text[0] == text[-1] == '"'
    return text[1:-1] if plain and "\\" not in text and text.count('"') == 2 else None
