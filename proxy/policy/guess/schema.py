"""The shape of `lexicon:` in a rule file: tables of words and of patterns.

What belongs here: the pydantic model as written and the wording of its mistakes; `lexicon.py` compiles it.
"""

from __future__ import annotations

import re
from typing import Annotated

import re2
from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from proxy.model import Json, Reversibility
from proxy.policy.amounts import json_type
from proxy.policy.problems import did_you_mean

ACTS = (
    "read send publish input pay order destroy grant write exec open none unknown".split()  # noqa: SIM905
)
"""What a tool can be said to do."""

DOMAINS = "money identity message web calendar file order account record exec".split()  # noqa: SIM905
PLACES = ("url", "party", "channel", "record")
ASKED = (*DOMAINS, "destroy", "booking")
NATURES = ("outbound", "irreversible", "hard")

_WORD = re.compile(r"[\w.-]{1,40}")
_MAX_WORDS = 2000
_MAX_PATTERNS = 50
_MAX_PATTERN = 1000

type Table = dict[str, tuple[str, ...]]


def _fault(text: str) -> PydanticCustomError:
    return PydanticCustomError("checkrein", "{text}", {"text": text})


def _words(value: Json, what: str = "words") -> tuple[str, ...]:
    if not isinstance(value, str):
        raise _fault(f"expected {what} as text, apart by spaces, got {json_type(value)}")
    listed = value.split()
    if len(listed) > _MAX_WORDS:
        raise _fault(f"at most {_MAX_WORDS} words are possible here")
    for word in listed:
        if not _WORD.fullmatch(word):
            raise _fault(f"'{word[:60]}' is no word of letters, digits, '_' and '-'")
    return tuple(listed)


def _mapping(value: Json, names: list[str] | tuple[str, ...]) -> dict[str, Json]:
    if not isinstance(value, dict) or not value:
        raise _fault(f"expected a mapping of {', '.join(names)}, got {json_type(value)}")
    for name in value:
        if name not in names:
            near = did_you_mean(str(name), names) or f"; there are {', '.join(names)}"
            raise _fault(f"'{name}' is not known here{near}")
    return value


def _table(value: Json, names: list[str] | tuple[str, ...]) -> Table:
    return {
        name: _words(words, f"the words of '{name}'")
        for name, words in _mapping(value, names).items()
    }


def _patterns(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MAX_PATTERNS:
        raise _fault(
            f"expected a list of at most {_MAX_PATTERNS} RE2 patterns, got {json_type(value)}"
        )
    for pattern in value:
        if not isinstance(pattern, str) or len(pattern) > _MAX_PATTERN:
            raise _fault(f"expected an RE2 pattern of at most {_MAX_PATTERN} characters as text")
        try:
            re2.compile(pattern.encode(), _quiet())
        except re2.error as error:
            said = error.args[0] if error.args else "no pattern"
            text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            raise _fault(f"'{pattern[:60]}' is no RE2 pattern: {text}") from None
    return tuple(value)


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def _kinds(value: Json) -> dict[str, str]:
    if not isinstance(value, dict) or not value:
        raise _fault("expected a mapping of acts, or act.domain, to effect kinds")
    for name, kind in value.items():
        act, _, domain = str(name).partition(".")
        if act not in (*ACTS, "fetch") or (domain and domain not in DOMAINS):
            raise _fault(f"'{name}' is neither an act nor act.domain{did_you_mean(act, ACTS)}")
        if not isinstance(kind, str) or not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", kind):
            raise _fault(f"'{kind}' is not a dotted kind such as money.refund")
    return value


def _acts_of_kinds(value: Json) -> dict[str, tuple[str, str]]:
    if not isinstance(value, dict) or not value:
        raise _fault("expected a mapping of effect kinds, or globs, to an act and a domain")
    made: dict[str, tuple[str, str]] = {}
    for glob, pair in value.items():
        words = _words(pair, f"the act and the domain of '{glob}'")
        if len(words) != 2 or words[0] not in ACTS or words[1] not in DOMAINS:
            raise _fault(
                f"'{glob}' needs an act and a domain, such as 'send message', got '{pair}'"
            )
        made[str(glob)] = (words[0], words[1])
    return made


def _undoing(value: Json) -> dict[str, Reversibility]:
    known = [str(word) for word in Reversibility]
    made = {}
    for act, word in _mapping(value, ACTS).items():
        if word not in known:
            raise _fault(
                f"'{word}' is not one of {', '.join(known)}{did_you_mean(str(word), known)}"
            )
        made[act] = Reversibility(word)
    return made


type Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
type Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns)]


class LexiconPart(BaseModel):
    """Tables as written; one that is not stated is the one that comes with checkrein."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    names: Annotated[Table | None, BeforeValidator(lambda v: _table(v, ACTS))] = None
    acts: Annotated[Table | None, BeforeValidator(lambda v: _table(v, ACTS))] = None
    nature: Annotated[Table | None, BeforeValidator(lambda v: _table(v, NATURES))] = None
    reversibility: Annotated[
        dict[str, Reversibility] | None, BeforeValidator(lambda v: _undoing(v))
    ] = None
    domains: Annotated[Table | None, BeforeValidator(lambda v: _table(v, DOMAINS))] = None
    shared: Words | None = None
    handover: Words | None = None
    opened_to_read: Words | None = None
    people: Words | None = None
    things: Words | None = None
    contents: Words | None = None
    kinds: Annotated[dict[str, str] | None, BeforeValidator(_kinds)] = None
    acts_of_kinds: Annotated[dict[str, tuple[str, str]] | None, BeforeValidator(_acts_of_kinds)] = (
        None
    )
    targets: Annotated[Table | None, BeforeValidator(lambda v: _table(v, PLACES))] = None
    carries_out: Words | None = None
    weak: Words | None = None
    own: Words | None = None
    strangers: Words | None = None
    asks: Annotated[Table | None, BeforeValidator(lambda v: _table(v, ASKED))] = None
    asks_patterns: Annotated[
        dict[str, tuple[str, ...]] | None,
        BeforeValidator(lambda v: {k: _patterns(p) for k, p in _mapping(v, ASKED).items()}),
    ] = None
    common: Words | None = None
    vendors: Words | None = None
    delegates: Patterns | None = None
    owes: Patterns | None = None

    def over(self, other: LexiconPart) -> LexiconPart:
        """Returns these tables, and the other's where there are none."""
        stated = {
            name: made
            for name in self.model_fields_set
            if (made := getattr(self, name)) is not None
        }
        return other.model_copy(update=stated)
