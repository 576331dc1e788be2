"""One rule file over the packs that it extends: a document put together from several.

What belongs here: which entry overrides which, and where each part of the outcome was written. How it works. An
entry of the extending file that has the name (or the route) of one below it states only the keys that it changes;
`off: true` takes the other one away; an entry with a name of its own is one more, and stands first. The packs
below must not have the same name twice between them. Words of the whole set (`unmapped` and the like) are the
extending file's where it states them, else the strictest of those below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from proxy.model import Json
from proxy.policy import schema
from proxy.policy.named_values import declare
from proxy.policy.problems import Problem, did_you_mean
from proxy.policy.yamlnodes import Document, Path

_WAYS = ("name", "shell", "sql", "fetch", "guess")
_STRICTEST = {
    "mode": ("enforce", "shadow"),
    "trust": ("untrusted", "trusted"),
    "unmapped": ("block", "hold", "allow"),
    "unparsed": ("block", "hold", "allow"),
    "opaque": ("block", "allow"),
}
"""Words of a file, the strictest first."""
_LISTS = ("model_hosts", "pass_through")
_TABLES = ("prices", "lexicon")
_SECTIONS = tuple(schema.PARTS)
_WORD = {"requires": "requirement", "model_prices": "price"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a list, and where it is written."""

    value: Json
    document: Document
    path: Path
    keys: dict[str, tuple[Document, Path]]  # of those that stand elsewhere

    @property
    def name(self) -> str | None:
        """What it is known by, None where nothing can override it."""
        return _name(self.value, str(self.path[0]))


def _name(value: Json, section: str) -> str | None:
    if not isinstance(value, dict):
        return None
    if section != "tools":
        name = value.get("name")
        return name if isinstance(name, str) else None
    for way in _WAYS:
        if way in value:
            named = value[way]
            return f"{way} {_listed(named)}"
    http = value.get("http")
    if not isinstance(http, dict):
        return None
    parts = [http.get(key) for key in ("method", "host", "path", "query", "graphql")]
    return f"http {[_listed(part) for part in parts]}"


def _listed(value: Json) -> list[str]:
    """Returns one value or a list as words in order: what is no text is told by the shape."""
    return sorted(map(repr, value)) if isinstance(value, list) else [repr(value)]


def extend(document: Document, bases: Sequence[Document], found: list[Problem]) -> Document:
    """Returns a file over the packs that it extends; mistakes go to `found`."""
    if not isinstance(document.value, dict):
        return document
    merged = Document(document.name, document.lines, {}, moved={(): (document, ())})
    inherited = {name: v for base in bases for name, v in base.variables.items()}
    merged.variables = declare(document, inherited, found)
    for key in dict.fromkeys((*document.value, *(key for b in bases for key in b.value))):
        stated = document.value.get(key, [])
        if key in _SECTIONS and isinstance(stated, list):
            _put_entries(merged, key, list(_entries(document, bases, key, found)))
        else:
            _put_word(merged, key, document, bases)
    return merged


def _put_entries(merged: Document, section: str, entries: Sequence[_Entry]) -> None:
    merged.value[section] = [entry.value for entry in entries]
    for i, entry in enumerate(entries):
        merged.moved[section, i] = (entry.document, entry.path)
        for key, place in entry.keys.items():
            merged.moved[section, i, key] = place


def _put_word(merged: Document, key: str, document: Document, bases: Sequence[Document]) -> None:
    """One key of the whole file, from whoever states it."""
    stating = [b for b in bases if key in b.value]
    own = document.value.get(key)
    if key in ("version", "pack", "extends", "vars"):
        if key in document.value:
            merged.value[key] = own
    elif key in _LISTS:
        every = [*stating, document] if key in document.value else stating
        values = [b.value[key] for b in every]
        flat = [h for v in values for h in (v if isinstance(v, list) else [v])]
        if len(values) == 1 or not all(isinstance(host, str) for host in flat):
            merged.value[key] = values[-1]  # what is no host is told by the shape
        else:
            merged.value[key] = list(dict.fromkeys(flat))
    elif key in _TABLES:
        made: dict[str, Json] = {}
        for one in (*stating, document):
            table = one.value.get(key)
            if isinstance(table, dict):
                made |= table
                merged.moved |= {(key, name): (one, (key, name)) for name in table}
        merged.value[key] = made if key not in document.value or isinstance(own, dict) else own
    elif key in document.value:
        merged.value[key] = own
    else:
        order = _STRICTEST.get(key, ())
        words = [(order.index(b.value[key]), b) for b in stating if b.value[key] in order]
        first = min(words, key=lambda word: word[0])[1] if words else stating[0]
        merged.value[key] = first.value[key]
        merged.moved[(key,)] = (first, (key,))


def _entries(
    document: Document, bases: Sequence[Document], section: str, found: list[Problem]
) -> Iterator[_Entry]:
    """Yields the entries of one section, the extending file's own first."""
    below = list(_below(document, bases, section, found))
    stated = document.value.get(section, ())
    own = [_Entry(v, document, (section, i), {}) for i, v in enumerate(stated)]
    for entry in own:
        if isinstance(entry.value, dict) and entry.value.get("off", True) is not True:
            text = "off: only 'off: true' is possible here"
            found.append(document.problem((*entry.path, "off"), text))
    over: dict[str, _Entry] = {}
    for entry in own:
        name = entry.name
        if name is None or not any(other.name == name for other in below):
            if _is_off(entry) or _lacks_keys(entry, below):
                _nothing_below(entry, below, found)
            elif not isinstance(entry.value, dict) or "off" not in entry.value:
                yield entry
        elif name in over:  # told where names must agree, as within any file
            yield entry
        else:
            over[name] = entry
    for entry in below:
        upper = over.get(entry.name) if entry.name is not None else None
        if upper is None:
            yield entry
        elif not _is_off(upper):
            yield _over(entry, upper)


def _below(
    document: Document, bases: Sequence[Document], section: str, found: list[Problem]
) -> Iterator[_Entry]:
    first: dict[str, Document] = {}
    for base in bases:
        listed = base.value.get(section)
        for i, value in enumerate(listed if isinstance(listed, list) else ()):
            entry = _Entry(value, base, (section, i), {})
            name = entry.name
            if name is not None and section != "tools" and first.setdefault(name, base) is not base:
                what = _WORD.get(section, section.removesuffix("s"))
                where = f"{first[name].name} and {base.name}"
                text = f"{where} both have a {what} '{name}'; extend one of them"
                found.append(document.problem(("extends",), text))
                continue
            yield entry


def _is_off(entry: _Entry) -> bool:
    return isinstance(entry.value, dict) and entry.value.get("off") is True


def _lacks_keys(entry: _Entry, below: Iterable[_Entry]) -> bool:
    """Whether an entry can only be meant as a change of one below."""
    if not isinstance(entry.value, dict) or not any(below) or entry.path[0] == "tools":
        return False
    fields = schema.PARTS[str(entry.path[0])].model_fields
    needed = [field.alias or name for name, field in fields.items() if field.is_required()]
    return any(key not in entry.value for key in needed)


def _nothing_below(entry: _Entry, below: Sequence[_Entry], found: list[Problem]) -> None:
    section = str(entry.path[0])
    what = _WORD.get(section, section.removesuffix("s"))
    stated = entry.value.get("name", "")
    stated = stated[0] if isinstance(stated, list) and stated else stated
    names = [e.value["name"] for e in below if isinstance(e.value.get("name"), str)]
    text = f"no pack below has a {what} '{stated}'{did_you_mean(str(stated), names)}"
    found.append(entry.document.problem(entry.path, text))


def _over(entry: _Entry, upper: _Entry) -> _Entry:
    """Returns an entry with the keys that the one above it states."""
    keys = {
        key: (entry.document, (*entry.path, key)) for key in entry.value if key not in upper.value
    }
    value = {**entry.value, **{k: v for k, v in upper.value.items() if k != "off"}}
    return _Entry(value, upper.document, upper.path, keys | upper.keys)
