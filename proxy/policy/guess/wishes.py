"""What the user's words ask for, hand over and point at.

What belongs here: `Said`, read once from all that the user said in a session, and the questions that are asked of
it: whether a tool's doing is asked for, whether a target is pointed at. Asked for means asked to be done: who
looks for mails has asked for none to be sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import re2

from proxy.policy.guess.schema import LexiconPart
from proxy.policy.guess.verbs import Named
from proxy.policy.guess.words import folded_set, forms, found_in, stem
from proxy.policy.origins.folding import fold

_SHORTEST = 3  # letters of a word of a tool's name that is looked for
_USER_WORD = re.compile(r"[a-z][a-z-]+")
_TOKEN = re.compile(r"[a-z]{3,}|[0-9]{3,}")
_HOST = re.compile(
    r"(?:https?://|www\.)[^\s\"'<>,)]+"
    r"|\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|io|gov|dev|co|de|fr|es|eu|ai|app|info)\b"
)
_TELLING = re.compile(r"[a-z]{4,}|[0-9]{3,}")
_LAST_LABEL = re.compile(r"^((?:[^/?#\s]*@)?[\w.-]*\w)\.[a-z]{2,24}(?=$|[/?#:])")
_SCHEME = re.compile(r"^[a-z]+://")
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


class Wishes:
    """The tables of what users ask for, compiled."""

    def __init__(
        self, part: LexiconPart, acts: Mapping[str, str], domains: Mapping[str, str]
    ) -> None:
        self._acts = acts
        self._domains = domains
        self._weak = folded_set(part.weak)
        self._strangers = folded_set(part.strangers)
        self._common = folded_set(part.common)
        self._vendors = folded_set(part.vendors)
        self._asks = {domain: folded_set(words) for domain, words in (part.asks or {}).items()}
        self._asks_patterns = {
            domain: _patterns(listed) for domain, listed in (part.asks_patterns or {}).items()
        }
        self._delegates = _patterns(part.delegates or ())
        self._owes = _patterns(part.owes or ())
        self.said = lru_cache(64)(self._said)

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


def _patterns(texts: Iterable[str]) -> tuple[re2.Pattern, ...]:
    return tuple(re2.compile(text.encode()) for text in texts)
