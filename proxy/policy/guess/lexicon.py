"""The tables of `rules/lexicon.yaml`, compiled: what a name says, where a call goes, what the user asks for.

What belongs here: `Lexicon`, made once a rule set, and what it reads in a tool's name (`Named`) and in the
user's words (`Said`). Both are remembered, for a session asks the same again and again; names and words are
others' to choose, so the memories have an end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

import re2

from proxy.model import Reversibility
from proxy.policy.guess.schema import ACTS, DOMAINS, PLACES, LexiconPart
from proxy.policy.guess.verbs import acting_verb
from proxy.policy.guess.words import forms, found_in, stem, words_of
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
_USER_WORD = re.compile(r"[a-z][a-z-]+")
_TOKEN = re.compile(r"[a-z]{3,}|[0-9]{3,}")
_HOST = re.compile(
    r"(?:https?://|www\.)[^\s\"'<>,)]+"
    r"|\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|io|gov|dev|co|de|fr|es|eu|ai|app|info)\b"
)
_TELLING = re.compile(r"[a-z]{4,}|[0-9]{3,}")
_LAST_LABEL = re.compile(r"^((?:[^/?#\s]*@)?[\w.-]*\w)\.[a-z]{2,24}(?=$|[/?#:])")
_SCHEME = re.compile(r"^[a-z]+://")


@dataclass(frozen=True, slots=True)
class Named:
    """What a tool's name says."""

    act: str
    domain: str
    words: tuple[str, ...] = ()
    trusted: bool = False  # what it brings is the operator's own
    understood: bool = True  # some word of the name says what it does


# "Do the following tasks: …": the list is the user's own, nothing is handed over.
_OWN_TASKS = re2.compile(
    rb"\b(?:the |these )?following (?:[a-z]+ )?(?:tasks?|steps?|instructions?|actions?|requests?|to-?dos?)\b"
)


@dataclass(frozen=True, slots=True)
class Said:
    """What the user said, as it is asked of."""

    words: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()
    hosts: tuple[str, ...] = ()
    asks: frozenset[str] = frozenset()  # domains
    delegated: bool = False
    owes: bool = False


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
        self._shared = _set(part.shared)
        self._handover = _set(part.handover)
        self._opened = _set(part.opened_to_read)
        self._people = _set(part.people)
        self._things = _set(part.things)
        self._contents = _set(part.contents)
        self._place_of = {
            fold(key): at
            for at, place in reversed(list(enumerate(PLACES)))
            for key in (part.targets or {}).get(place, ())
        }
        self._carries_out = _set(part.carries_out)
        self._weak = _set(part.weak)
        self._own = _set(part.own)
        self._strangers = _set(part.strangers)
        self._common = _set(part.common)
        self._vendors = _set(part.vendors)
        self._asks = {domain: _set(words) for domain, words in (part.asks or {}).items()}
        self._asks_patterns = {
            domain: _patterns(listed) for domain, listed in (part.asks_patterns or {}).items()
        }
        self._delegates = _patterns(part.delegates or ())
        self._owes = _patterns(part.owes or ())
        self.named = lru_cache(4096)(self._named)
        self.said = lru_cache(64)(self._said)
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

    # --- the user's words ------------------------------------------------------------------------
    def _said(self, text: str) -> Said:
        folded = fold(text)
        data = folded.encode("utf-8", "replace")
        words = {form for word in _USER_WORD.findall(folded) for form in forms(word)}
        hosts = {host_of_text(found) for found in _HOST.findall(folded)}
        asks = {domain for domain, table in self._asks.items() if table & words}
        asks |= {
            d for d, listed in self._asks_patterns.items() if any(p.search(data) for p in listed)
        }
        given = _OWN_TASKS.sub(b" ", data)
        return Said(
            words=frozenset(words),
            tokens=frozenset(_TOKEN.findall(folded)),
            hosts=tuple(sorted(host for host in hosts if host)),
            asks=frozenset(asks),
            delegated=any(pattern.search(given) for pattern in self._delegates),
            owes=any(pattern.search(data) for pattern in self._owes),
        )

    def asked(self, named: Named, said: Said) -> bool:
        """Tells whether the user's words ask for what a tool does: by its name, or its domain."""
        if self._is_spelt_out(named, said):
            return True
        for at, word in enumerate(named.words):
            verb = found_in(word, self._acts)
            does = self._acts[verb] if verb is not None else ""
            if len(word) < _SHORTEST or does == "read" or (does == "send" and named.act == "pay"):
                continue  # who asks for a mail to be sent asks for no money to be
            if at > 0 and does == "send" and found_in(word, self._domains):
                continue  # the mail of `send_email`: who looks for mails asks for none to be sent
            telling = word not in self._common if verb is not None else self._is_telling(word)
            if telling and said.words.intersection(forms(word)):
                return True
        return bool(said.asks.intersection(_domains_asked(named)))

    def _is_spelt_out(self, named: Named, said: Said) -> bool:
        """Tells whether the user said both: "add Ann to that channel", for `add_user_to_channel`."""
        common = noun = False
        for word in named.words:
            if len(word) >= _SHORTEST and said.words.intersection(forms(word)):
                common = common or word in self._common
                noun = noun or found_in(word, self._domains) is not None
        return common and noun

    def _is_telling(self, word: str) -> bool:
        """Tells whether a word of a name says what it is about: the roaming in `enable_roaming`."""
        return not (
            len(word) <= _SHORTEST
            or word in self._weak
            or word in self._vendors
            or found_in(word, self._domains)
            or found_in(word, self._strangers)
        )

    def points_at(self, said: Said, value: str) -> bool:
        """Tells whether the user's words point at a target: a telling word of it, or its site."""
        plain = _SCHEME.sub("", fold(value).strip()).rstrip("/.,")
        host = host_of_text(plain)
        if "@" not in plain and "." in host:
            for known in said.hosts:
                if host == known or host.endswith("." + known) or known.endswith("." + host):
                    return True
        for word in _TELLING.findall(_LAST_LABEL.sub(r"\1", plain)):
            if word not in self._weak and (word in said.tokens or stem(word) in said.words):
                return True
        return False


def host_of_text(text: str) -> str:
    """Returns the host a folded address begins with, without `www.`."""
    host = re.split(r"[/?#\s]", _SCHEME.sub("", text), maxsplit=1)[0].rpartition("@")[2]
    return host.partition(":")[0].removeprefix("www.").rstrip(".,")


def _domains_asked(named: Named) -> set[str]:
    """Returns what must be asked for: an order by "book", as who looks for hotels orders none."""
    act = named.act
    if act == "destroy":
        return {"destroy"}
    if act == "pay":
        return {"money"}
    if act == "order":
        return {"booking"}
    domains = {named.domain}
    if act in ("publish", "input"):
        domains.add("web")
    if act == "send":
        domains.add("message")
    return domains


def _set(words: Iterable[str] | None) -> frozenset[str]:
    return frozenset(fold(word) for word in words or ())


def _patterns(texts: Iterable[str]) -> tuple[re2.Pattern, ...]:
    return tuple(re2.compile(text.encode()) for text in texts)


EMPTY = Lexicon(LexiconPart())
"""No tables: every name is unknown."""
