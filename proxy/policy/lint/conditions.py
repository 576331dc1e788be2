"""Conditions that are never true, or that compare with what a variable never is.

What belongs here: equalities of an expression, read from its tree (`celtree.py`). Only what is certain is told: two
parts of one `&&` that cannot both be true, a word that the variable does not have, a kind of effect that no entry has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from proxy.model import Reversibility, Side, Trust
from proxy.policy.budgets import SPENDING
from proxy.policy.cel import Expression
from proxy.policy.celtree import Kind, Node, conjuncts, parse, walk
from proxy.policy.lint.literals import text_of
from proxy.policy.lint.place import warning_inside
from proxy.policy.problems import Problem, did_you_mean
from proxy.policy.site import Site

if TYPE_CHECKING:
    from proxy.policy.load import Loaded

_TRUST = tuple(trust.label for trust in Trust)
WORDS: Mapping[str, tuple[str, ...]] = {
    "effect.reversibility": tuple(word.value for word in Reversibility),
    "side": tuple(side.value for side in Side),
    "identity.session_trust": _TRUST,
    "identity.agent_trust": _TRUST,
    "graphql.type": ("query", "mutation", "subscription"),
    "evidence.side": tuple(side.value for side in Side),
}
"""Variables that have one of a few words; the empty text too, where a call has none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One condition of a rule, as a tree."""

    what: str  # "gate 'x'"
    site: Site  # of the expression
    text: str
    tree: Node


def asked(loaded: Loaded) -> Iterator[Asked]:
    """Yields the conditions of gates, chains' steps and requirements."""
    for gate in loaded.gates:
        yield _asked(f"gate '{gate.name}'", gate.site.at("when"), gate.when)
    for chain in loaded.chains:
        for i, step in enumerate(chain.steps):
            if step.when is not None:
                yield _asked(f"chain '{chain.name}'", chain.site.at("steps", i, "when"), step.when)
    for require in loaded.requires:
        if require.when is not None:
            yield _asked(f"requirement '{require.name}'", require.site.at("when"), require.when)


def _asked(what: str, site: Site, expression: Expression) -> Asked:
    return Asked(what, site, expression.text, parse(expression.text))


def never_matches(loaded: Loaded) -> Iterator[Problem]:
    """Yields conditions that cannot be true, and comparisons with words that are none."""
    kinds = frozenset(e.kind for tool in loaded.tools for e in tool.all_effects) | SPENDING
    names = [name for tool in loaded.tools for name in tool.names]
    for one in asked(loaded):
        yield from _unknown_words(one)
        yield from _contradictions(one)
        yield from _unknown_kinds(one, kinds)
        yield from _unknown_tools(one, names)


def _unknown_words(one: Asked) -> Iterator[Problem]:
    for variable, part, word in _compared(one.tree):
        known = WORDS.get(variable)
        if known is not None and word and word not in known:
            listed = ", ".join(known)
            near = did_you_mean(word, known)
            text = f"when: '{variable}' is never '{word}': it is one of {listed}{near}"
            yield warning_inside(one.site, one.text, part.span, "unknown-value", text)


def _unknown_kinds(one: Asked, kinds: frozenset[str]) -> Iterator[Problem]:
    """Kinds that no entry has: where the condition cannot be true without one, or one is nearly so called.

    A kind among others may be that of a file which is sometimes loaded beside this one.
    """
    needed = {part.span for part in conjuncts(one.tree)}
    for node in walk(one.tree):
        for variable, place, word in _compared_here(node):
            near = did_you_mean(word, kinds)
            if variable != "effect.kind" or not word or word in kinds:
                continue
            if near or (node.span in needed and _all_unknown(node, kinds)):
                text = f"when: no tool produces an effect '{word}'{near}"
                yield warning_inside(one.site, one.text, place.span, "unproduced-kind", text)
        beginning = _beginning(node) if node.span in needed else None
        if beginning is not None and not any(kind.startswith(beginning) for kind in kinds):
            text = f"when: no tool produces an effect whose kind begins with '{beginning}'"
            yield warning_inside(one.site, one.text, node.span, "unproduced-kind", text)


def _all_unknown(node: Node, kinds: frozenset[str]) -> bool:
    return not any(word in kinds for _, _, word in _compared_here(node))


def _unknown_tools(one: Asked, names: list[str]) -> Iterator[Problem]:
    """Names that no entry has may be tools without an entry; a near miss is a slip."""
    for variable, part, word in _compared(one.tree):
        if variable != "tool" or not word or any(fnmatchcase(word, name) for name in names):
            continue
        near = did_you_mean(
            word, [name for name in names if not set(name) & set("*?[")], cutoff=0.8
        )
        if near:
            text = f"when: no entry maps the tool '{word}'{near}"
            yield warning_inside(one.site, one.text, part.span, "unknown-tool", text)


def _contradictions(one: Asked) -> Iterator[Problem]:
    """Parts of one `&&` that exclude each other."""
    possible: dict[str, tuple[frozenset[str], Node]] = {}
    for part in conjuncts(one.tree):
        if part.kind is Kind.LITERAL and part.text == "false":
            yield warning_inside(
                one.site,
                one.text,
                part.span,
                "never-matches",
                "when: never true: a part of it is false",
            )
        allowed = _allowed(part)
        if allowed is None:
            continue
        variable, values = allowed
        before = possible.get(variable)
        if before is None:
            possible[variable] = (values, part)
        elif before[0] & values:
            possible[variable] = (before[0] & values, part)
        else:
            text = f"when: never true: '{before[1].text}' and '{part.text}' exclude each other"
            yield warning_inside(one.site, one.text, part.span, "never-matches", text)
            return
    for part in conjuncts(one.tree):
        refused = _pair(part, "!=")
        if refused is None:
            continue
        stated = possible.get(refused[0])
        if stated is not None and stated[0] == {refused[1]}:
            text = f"when: never true: '{stated[1].text}' and '{part.text}' exclude each other"
            yield warning_inside(one.site, one.text, part.span, "never-matches", text)
            return


def _allowed(part: Node) -> tuple[str, frozenset[str]] | None:
    """Returns a variable and all that it may be for a part to be true: `==`, `in [...]`, `==` joined by `||`."""
    if (pair := _pair(part, "==")) is not None:
        return pair[0], frozenset({pair[1]})
    if part.kind is Kind.RELATION and part.name == "in":
        variable, listed = part.children[0].dotted, part.children[1]
        if variable is not None and listed.kind is Kind.LIST:
            texts = [text_of(item) for item in listed.children]
            known = [text for text in texts if text is not None]
            return (variable, frozenset(known)) if len(known) == len(texts) else None
    if part.kind is Kind.OR:
        found = [_allowed(child) for child in part.children]
        first = found[0]
        if first is not None and all(one is not None and one[0] == first[0] for one in found):
            return first[0], frozenset[str]().union(*(one[1] for one in found if one is not None))
    return None


def _pair(part: Node, operator: str) -> tuple[str, str] | None:
    """Returns the variable and the text of `variable == "text"`, either way round."""
    if part.kind is not Kind.RELATION or part.name != operator:
        return None
    left, right = part.children
    for one, other in ((left, right), (right, left)):
        text = text_of(other)
        if one.dotted is not None and text is not None:
            return one.dotted, text
    return None


def _compared(tree: Node) -> Iterator[tuple[str, Node, str]]:
    """Yields each variable that is compared with a text for being equal, the text's place, and the text."""
    for node in walk(tree):
        yield from _compared_here(node)


def _compared_here(node: Node) -> Iterator[tuple[str, Node, str]]:
    """Yields the same of one relation."""
    if node.kind is not Kind.RELATION:
        return
    left, right = node.children
    if node.name == "==":
        for one, other in ((left, right), (right, left)):
            word = text_of(other)
            if one.dotted is not None and word is not None:
                yield one.dotted, other, word
    elif node.name == "in" and left.dotted is not None and right.kind is Kind.LIST:
        for item in right.children:
            word = text_of(item)
            if word is not None:
                yield left.dotted, item, word


def _beginning(part: Node) -> str | None:
    """Returns the text of `effect.kind.startsWith("text")`."""
    if part.kind is not Kind.CALL or part.name != "startsWith" or not part.method:
        return None
    before, *arguments = part.children
    return text_of(arguments[0]) if before.dotted == "effect.kind" and arguments else None
