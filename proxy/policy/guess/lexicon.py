"""The tables of `rules/lexicon.yaml`, compiled: what a name says, where a call goes, what the user asks for.

What belongs here: `Lexicon`, made once a rule set, and what it reads in a tool's name (`Named`) and in an
argument's; `wishes` reads the user's words. What was read is remembered, for a session asks the same again
and again; names and words are others' to choose, so the memories have an end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import lru_cache

from proxy.model import Reversibility
from proxy.policy.guess.schema import ACTS, DOMAINS, PLACES, LexiconPart
from proxy.policy.guess.verbs import Named, acting_verb
from proxy.policy.guess.wishes import Wishes
from proxy.policy.guess.words import folded_set, found_in, words_of
from proxy.policy.origins.folding import fold, squash

_MAKING = frozenset({"create", "add", "make", "new", "write", "reply"})
_CHANGING_WHO = frozenset({"add", "invite", "create", "remove", "delete", "grant"})
_BY_ACT = {
    "send": "message",
    "publish": "web",
    "input": "web",
    "pay": "money",
    "order": "order",
    "exec": "exec",
}
UNKNOWN_KIND = "unknown.act"
_OF_KNOWN = {"write": "file", "exec": "exec"}
"""What tools that are known by the whole name write and run."""
_BEHIND = re.compile(r"call|[0-9]{6,8}")
_SHORTEST = 3  # letters of a word that is cut out of another


class Lexicon:
    """Compiled tables."""

    def __init__(self, part: LexiconPart) -> None:
        self.part = part
        self._names = {
            squash(fold(name)): act for act, names in (part.names or {}).items() for name in names
        }
        self._acts = {fold(word): act for act, words in (part.acts or {}).items() for word in words}
        self._domains = {
            fold(word): domain for domain, words in (part.domains or {}).items() for word in words
        }
        nature = part.nature or {}
        self._outbound = frozenset(nature.get("outbound", ()))
        self._irreversible = frozenset(nature.get("irreversible", ()))
        self._hard = frozenset(nature.get("hard", ()))
        self._reversibility = part.reversibility or {}
        self._kinds = part.kinds or {}
        self._acts_of_kinds = sorted(
            (part.acts_of_kinds or {}).items(),
            key=lambda item: (len(item[0]), item[0][0] == "*"),
            reverse=True,
        )
        self._shared = folded_set(part.shared)
        self._handover = folded_set(part.handover)
        self._opened = folded_set(part.opened_to_read)
        self._people = folded_set(part.people)
        self._things = folded_set(part.things)
        self._contents = folded_set(part.contents)
        self._place_of = {
            fold(key): at
            for at, place in reversed(list(enumerate(PLACES)))
            for key in (part.targets or {}).get(place, ())
        }
        self._carries_out = folded_set(part.carries_out)
        self._own = folded_set(part.own)
        self._strangers = folded_set(part.strangers)
        self._vendors = folded_set(part.vendors)
        self.named = lru_cache(4096)(self._named)
        self._wishes = Wishes(part, self._acts, self._domains)
        self.said = self._wishes.said
        self.asked = self._wishes.asked
        self.points_at = self._wishes.points_at
        self.role = lru_cache(4096)(self._role)
        self.of_kind = lru_cache(1024)(self._of_kind)

    def kinds(self) -> Iterator[tuple[str, str]]:
        """Yields each act with each kind of effect that it can come to."""
        for act in (*ACTS, "fetch"):
            for domain in ("", *DOMAINS):
                yield act, self.kind(act, domain)

    def kind(self, act: str, domain: str) -> str:
        """Returns the kind of effect of an act."""
        return self._kinds.get(f"{act}.{domain}") or self._kinds.get(act) or UNKNOWN_KIND

    def reversibility(self, act: str) -> Reversibility:
        return self._reversibility.get(act, Reversibility.REVERSIBLE)

    def outbound(self, act: str) -> bool:
        return act in self._outbound

    def irreversible(self, act: str, domain: str) -> bool:
        return act in self._irreversible or domain == "identity"

    def hard(self, act: str, domain: str) -> bool:
        return act in self._hard or domain == "identity"

    def carries_out(self, role: str) -> bool:
        return role in self._carries_out

    def is_content(self, role: str) -> bool:
        return role in self._contents

    # --- names -----------------------------------------------------------------------------------
    def _named(self, name: str) -> Named:
        words = tuple(piece for word in words_of(name) for piece in self._cut(word))
        acting = acting_verb(words, self._acts, self._domains, self._things, self._vendors)
        act, verb, at = acting.act, acting.word, acting.at
        later = words[1:]
        if act == "open":
            looks = not later or any(found_in(w, self._opened) for w in later)
            act = "read" if looks else "write"
        if act == "write" and verb in _MAKING and any(found_in(w, self._shared) for w in later):
            act = "publish"
        if verb == "transfer" and any(found_in(w, self._handover) for w in later):
            act = "grant"
        if self._people & set(words) or {"agents", "transfer"} <= set(words):
            act = "none"
        whole = words_of(name)
        if len(whole) > 1 and _BEHIND.fullmatch(whole[-1]):
            whole = whole[:-1]
        known = self._names.get("".join(whole))
        act = known or act
        understood = act is not None
        act = act or "unknown"
        domain = _OF_KNOWN.get(known or "") or self._domain(words, at)
        if act == "send" and domain == "money":
            act = "pay"
        domain = domain or _BY_ACT.get(act, "record")
        if domain == "account":
            changes_who = act in ("grant", "write", "destroy") and verb in _CHANGING_WHO
            domain = "identity" if changes_who else "record"
        if domain == "money" and act == "write":
            act = "pay"
        if act == "grant":
            domain = "identity"
        own = known == "none" or any(found_in(w, self._own) for w in words)
        strange = any(found_in(w, self._strangers) for w in words)
        return Named(act, domain, words, own and not strange, understood)

    def _domain(self, words: tuple[str, ...], verb_at: int) -> str | None:
        """Returns what a name is about: its first noun, identity before all; a verb in front is none."""
        found: str | None = None
        for at, word in enumerate(words):
            noun = found_in(word, self._domains)
            if noun is None or (at == verb_at == 0 and len(words) > 1):
                continue
            if self._domains[noun] == "identity":
                return "identity"
            found = found or self._domains[noun]
        return found

    def _cut(self, word: str) -> tuple[str, ...]:
        """Cuts "sendemail" where both halves are known."""
        if self._known(word) or len(word) < 2 * _SHORTEST or len(word) > 40:
            return (word,)
        for at in range(len(word) - _SHORTEST, _SHORTEST - 1, -1):
            if word[:at] in self._acts and self._known(word[at:]):
                return (word[:at], word[at:])
        return (word,)

    def _known(self, word: str) -> bool:
        return any(
            found_in(word, table)
            for table in (self._acts, self._domains, self._own, self._strangers, self._vendors)
        )

    def _of_kind(self, kind: str) -> Named:
        """Returns what an effect's kind says, for tools that rules name."""
        for glob, (act, domain) in self._acts_of_kinds:
            if fnmatchcase(kind, glob):
                return Named(act, domain)
        return Named("unknown", "record", understood=False)

    # --- arguments -------------------------------------------------------------------------------
    def _role(self, key: str) -> str:
        """Returns what an argument is: of `customerEmail` email, unless the whole name is known."""
        words = words_of(key)
        whole = "_".join(words)
        if whole in self._place_of or whole in self._contents:
            return whole
        return next((w for w in reversed(words) if w in self._place_of), whole)

    def place(self, role: str) -> int | None:
        """Returns which kind of place an argument names, an index of `PLACES`."""
        return self._place_of.get(role)


EMPTY = Lexicon(LexiconPart())
"""No tables: every name is unknown."""
