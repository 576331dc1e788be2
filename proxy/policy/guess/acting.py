"""`act.*`: what a call does, and who is behind it, as gates ask.

What belongs here: the variables, each made of three things that are known of a call: the act (of the tool's
name, or of the effect's kind where rules name the tool), where its values came from, and what the user said.
They are asked of every effect by itself, so that one stranger among ten friends counts. Nothing here decides
anything: the gates of `rules/default.yaml` do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from proxy.canonical import sha256_hex
from proxy.model import Effect, Json, Origin
from proxy.policy.facts import Facts
from proxy.policy.guess.aim import Aim
from proxy.policy.guess.arguments import PARTY, URL, Arguments, Target, read_arguments, targets_of
from proxy.policy.guess.lexicon import Lexicon
from proxy.policy.guess.reader import understood
from proxy.policy.guess.schema import PLACES
from proxy.policy.guess.verbs import Named

INSTRUCTIONS, REQUEST, SECRET = "instructions", "request", "secret"
_NOBODY = Origin()


@dataclass(frozen=True, slots=True)
class _Element:
    """One target, and where it came from."""

    telling: bool = False  # its origin can be told, or that it has none
    said: bool = False  # the user's, or for addresses and the like the system prompt's
    pointed_at: bool = False
    foreign: bool = False
    place: str = ""
    labels: tuple[str, ...] = ()


class Acts:
    """What gates may ask of one call."""

    def __init__(self, lexicon: Lexicon, tool: str, arguments: Json, facts: Facts) -> None:
        self._lexicon = lexicon
        self._tool = tool
        self._arguments = arguments
        self._facts = facts
        self._seen = facts.seen
        self._said = lexicon.said(self._seen.user_text)
        self._read: Arguments | None = None
        self._whole: Origin | None = None
        self._name = lexicon.named(tool)
        self._asked_by_name: dict[Named, bool] = {}

    def of(self, effect: Effect | None, aim: Aim | None, *, mapped: bool) -> dict[str, Json]:
        """Returns the variables for one effect, or for a call that has none.

        Args:
            effect: what is judged; None where a call has no effect.
            aim: what a guess says of it; None for tools that rules name.
            mapped: some entry knows the tool: having no effect is then what the rules say of it.
        """
        known = self._facts.told(
            _question(effect, aim), lambda: self._true_of(effect, aim, mapped=mapped)
        )
        return {**_NOT_SO, **{f"act.{name}": value for name, value in known.items()}}

    def _true_of(self, effect: Effect | None, aim: Aim | None, *, mapped: bool) -> dict[str, Json]:
        """Returns what is true of an effect, or has a name; the rest is false."""
        found = self._of(effect, aim, mapped=mapped)
        return {name: value for name, value in found.items() if value}

    def _of(self, effect: Effect | None, aim: Aim | None, *, mapped: bool) -> dict[str, Json]:
        lexicon = self._lexicon
        if aim is not None:
            named, fetches, outbound = aim.named, aim.fetches, aim.outbound
            element = self._element(aim.element, aim.place)
            if not element.telling and any(map(self._is_said, aim.beside)):
                element = replace(element, said=True)  # "Bo", whom nobody can tell from a word
        elif effect is not None:
            named = lexicon.of_kind(effect.kind)
            fetches = named.act == "read" and named.domain == "web"
            outbound = lexicon.outbound(named.act) or self._carries_out(named)
            element = self._of_mapped(effect, named)
        else:
            named = _HARMLESS if mapped else understood(lexicon, self._tool, self.read)
            fetches, outbound = False, lexicon.outbound(named.act)
            element = _Element()
        writes = named.act not in ("read", "none")
        labels = self.labels if writes or fetches else ()
        return {
            "is": named.act,
            "domain": named.domain,
            "writes": writes,
            "fetches": fetches,
            "outbound": outbound and writes,
            "irreversible": writes and lexicon.irreversible(named.act, named.domain),
            "hard": writes and lexicon.hard(named.act, named.domain),
            "given": bool(self.read.values),
            "asked": self._asked(named),
            "delegated": self._said.delegated,
            "owed": self._said.owes,
            "said": element.said,
            "aimed": element.said or element.pointed_at,
            "foreign": element.foreign,
            "place": element.place,
            "injected": INSTRUCTIONS in labels,
            "injected_target": INSTRUCTIONS in element.labels,
            "requested": REQUEST in element.labels,
            "suggested": REQUEST in labels,
            "carries_secret": any(label.startswith(SECRET) for label in labels),
        }

    @property
    def read(self) -> Arguments:
        if self._read is None:
            self._read = read_arguments(self._arguments, self._lexicon)
        return self._read

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of all values that the user did not say; looked up where any could be there."""
        seen = self._seen.labels
        if not any(map(_is_told, seen)):
            return ()
        if self._whole is None:
            self._whole = self._facts.origin(self._arguments)
        return self._whole.labels

    def _carries_out(self, named: Named) -> bool:
        return named.act not in ("read", "none") and any(
            self._lexicon.carries_out(value.role) for value in self.read.values
        )

    def _asked(self, named: Named) -> bool:
        """By the words of the tool's name, whoever named it, or by what the act is about."""
        whole = Named(named.act, named.domain, self._name.words)
        if whole not in self._asked_by_name:
            self._asked_by_name[whole] = self._lexicon.asked(whole, self._said)
        return self._asked_by_name[whole]

    def _is_said(self, target: Target) -> bool:
        element = self._element(target.text, target.place)
        return element.said or element.pointed_at

    def _of_mapped(self, effect: Effect, named: Named) -> _Element:
        """A rule's target, and with it the arguments behind it: a rule may name a host, not the URL."""
        elements = [self._element(effect.target, None)] if effect.target else []
        found = targets_of(self.read.values, named.act, self._lexicon)
        elements += [
            self._element(target.text, target.place)
            for target in found
            if not effect.target or _belongs(effect.target, target.text)
        ]
        if not elements:
            return _Element()
        return _Element(
            True,
            all(e.said for e in elements),
            all(e.said or e.pointed_at for e in elements),
            any(e.foreign for e in elements),
            elements[-1].place,
            tuple(dict.fromkeys(label for e in elements for label in e.labels)),
        )

    def _element(self, text: str | None, place: int | None) -> _Element:
        if not text:
            return _Element()
        pointed = self._lexicon.points_at(self._said, text)
        if not self._seen.tools and not self._seen.user_text:
            return _Element(pointed_at=pointed, place=_name(place))
        origin = self._facts.origin(text)
        exact = place in (URL, PARTY)
        user = origin.user or (exact and origin.system)
        # Of an address or a URL each part counts; of words, that some of them were a stranger's does not.
        strange = origin.untrusted and (exact or not origin.user)
        return _Element(
            telling=origin.user or origin.system or origin.result or origin.model,
            # An address whose half the user said is not what the user said.
            said=user and not origin.untrusted and not (exact and origin.model),
            pointed_at=pointed,
            foreign=strange and not pointed,
            place=_name(place),
            labels=origin.labels,
        )


def _name(place: int | None) -> str:
    return "" if place is None else PLACES[place]


def _is_told(label: str) -> bool:
    """Tells whether gates may ask for a label in any value of a call."""
    return label in (INSTRUCTIONS, REQUEST) or label.startswith(SECRET)


_HARMLESS = Named("none", "record")
_NOT_SO: dict[str, Json] = {
    f"act.{name}": False
    for name in (
        "writes", "fetches", "outbound", "irreversible", "hard", "given", "asked", "delegated", "owed",
        "said", "aimed", "foreign", "injected", "injected_target", "requested", "suggested",
        "carries_secret",
    )
} | {"act.is": "", "act.domain": "", "act.place": ""}  # fmt: skip


def _question(effect: Effect | None, aim: Aim | None) -> str:
    """Returns the name under which a decision's record has what was found of one effect."""
    if effect is None:
        return "act"
    about = (effect.target, None if aim is None else (aim.element, aim.place))
    return f"act:{effect.kind}:{sha256_hex(repr(about).encode('utf-8', 'surrogatepass'))[:12]}"


def _belongs(target: str, text: str) -> bool:
    return target in text or text in target
