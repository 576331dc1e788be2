"""Which word of a tool's name says what the tool does.

What belongs here: picking the acting word out of a name that is cut into words. Mostly it is the first verb;
what is said behind it may weigh more. In doubt the heavier reading counts: a tool taken for a
reader does as it likes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from proxy.policy.guess.words import found_in

_CONNECTORS = frozenset({"and", "or", "then", "n"})
_WEIGHT = {
    act: weight
    for weight, acts in enumerate(
        (
            ("none", "read", "open"),
            ("write",),
            ("order",),
            ("input", "send", "publish"),
            ("pay", "grant", "destroy", "exec"),
        )
    )
    for act in acts
}
_SHORTEST_DOER = 5


@dataclass(frozen=True, slots=True)
class Named:
    """What a tool's name says."""

    act: str
    domain: str
    words: tuple[str, ...] = ()
    trusted: bool = False  # what it brings is the operator's own
    understood: bool = True  # some word of the name says what it does


@dataclass(frozen=True, slots=True)
class Verb:
    """The acting word of a name: what it does, the word as the table has it, and where it stands."""

    act: str | None = None
    word: str = ""
    at: int = -1


def acting_verb(
    words: tuple[str, ...],
    acts: Mapping[str, str],
    nouns: Collection[str],
    things: Collection[str],
    vendors: Collection[str],
) -> Verb:
    """Returns the acting word of a name.

    Args:
        words: the name's words.
        acts: what each verb does.
        nouns: words that are things unless they stand in front ("email").
        things: readers' verbs that are mostly things ("log"): a verb behind one of them is what is done to it.
        vendors: words that say nothing of the deed ("manager").
    """
    verbs: list[Verb] = []
    others: list[Verb] = []
    for at, word in enumerate(words):
        verb = found_in(word, acts)
        if verb is not None:
            noun = at > 0 and found_in(word, nouns) is not None
            (others if noun else verbs).append(Verb(acts[verb], verb, at))
    doer = _doer(words, acts, vendors)
    if doer is not None and doer.act != "write":  # a "manager" may do anything
        return doer
    found = verbs or others
    if not found:
        return Verb()
    first = found[0]
    behind = [v for v in verbs if v.at > 0 and words[v.at - 1] in _CONNECTORS]
    if first.word in things and first.act == "read":
        after = first.at + 1
        behind += [v for v in verbs if v.at == after and not words[after].endswith("ed")]
    if first.act == "write":  # a lock's `unlock_door`: who may do more goes before what changes
        behind += [v for v in verbs if v.act == "grant"]
    return max((first, *behind), key=lambda v: _WEIGHT.get(v.act or "", 0))


def _doer(words: tuple[str, ...], acts: Mapping[str, str], vendors: Collection[str]) -> Verb | None:
    """Reads a name that says what the tool is: a `log_wiper` wipes, a `route_planner` plans."""
    last = words[-1] if words else ""
    if len(last) < _SHORTEST_DOER or last[-2:] not in ("er", "or") or last in vendors | acts.keys():
        return None
    base = last[:-2]
    for form in (base, base + "e", base[:-1] if base[-1] == base[-2] else base):
        if form in acts:
            return Verb(acts[form], form, len(words) - 1)
    return None
