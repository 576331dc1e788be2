"""A document against the shape of a rule file: every mistake, worded, at its place.

What belongs here: the walk over a document, and the wording of pydantic's errors. A list entry that is
well-formed by itself can be used though others are not, so that one run finds all mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from proxy.model import Json
from proxy.policy.amounts import json_type
from proxy.policy.guess.schema import LexiconPart
from proxy.policy.labels.schema import Returns, TrustBy
from proxy.policy.problems import Problem, did_you_mean
from proxy.policy.schema import (
    PARTS,
    ActionPart,
    EffectPart,
    Entry,
    EscalatePart,
    File,
    Graphql,
    Http,
    PricesPart,
    Settle,
    StepPart,
    UndoMcp,
    UndoPart,
)
from proxy.policy.yamlnodes import Document, Path


def check_shape(document: Document) -> list[Problem]:
    """Returns every mistake of a document's shape; `usable` then has the entries without one."""
    value = document.value
    if not isinstance(value, dict):
        text = f"a rule file is a mapping with 'version: 1', got {json_type(value)}"
        return [document.problem((), text)]
    try:
        File.model_validate(tupled(value))
    except ValidationError as error:
        return list(_problems(document, error))
    return []


def usable(document: Document) -> Iterator[tuple[Path, Entry]]:
    """Yields every list entry that is well-formed by itself, with its path."""
    value = document.value
    if not isinstance(value, dict):
        return
    for key, part in PARTS.items():
        listed = value.get(key)
        for i, item in enumerate(listed if isinstance(listed, list) else ()):
            try:
                made = part.model_validate(tupled(item))
            except ValidationError:
                continue
            yield (key, i), cast(Entry, made)


def tupled(value: Json) -> Json:
    """Returns lists of mappings as tuples. Strict models take tuples for tuples; only lists of mappings are theirs to check."""
    if isinstance(value, dict):
        return {key: tupled(item) for key, item in value.items()}
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return tuple(tupled(item) for item in value)
    return () if value == [] else value


def _problems(document: Document, error: ValidationError) -> Iterator[Problem]:
    for fault in error.errors(include_url=False):
        path: Path = tuple(fault["loc"])
        yield _problem(document, path, fault["type"], fault["msg"], fault.get("ctx", {}), fault)


def _problem(
    document: Document, path: Path, kind: str, message: str, context: dict[str, Any], fault: Any
) -> Problem:
    last = str(path[-1]) if path else ""
    where = describe(document, path[:-1])
    if kind == "extra_forbidden":
        near = did_you_mean(last, _known_keys(path[:-1]))
        return document.problem(path, f"{where}unknown key '{last}'{near}", key=True)
    if kind == "missing":
        return document.problem(path[:-1], f"{where}the key '{last}' is missing")
    if kind == "checkrein":
        return document.problem(path, f"{where}{last}: {message}")
    got = fault["input"]
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        text = f"'{got}' is not one of {', '.join(words)}" if isinstance(got, str) else ""
        text = text or f"expected one of {', '.join(words)}, got {json_type(got)}"
        near = did_you_mean(got, words) if isinstance(got, str) else ""
        return document.problem(path, f"{where}{last}: {text}{near}")
    expected = "a list" if kind == "tuple_type" else "a mapping of keys to values"
    return document.problem(path, f"{where}{last}: expected {expected}, got {json_type(got)}")


def _known_keys(path: Sequence[str | int]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {
        **PARTS,
        "effects": EffectPart,
        "http": Http,
        "graphql": Graphql,
        "settle": Settle,
        "steps": StepPart,
        "prices": PricesPart,
        "lexicon": LexiconPart,
        "returns": Returns,
        "trust_by": TrustBy,
        "do": ActionPart,
        "escalate": EscalatePart,
        "undo": UndoPart,
        "mcp": UndoMcp,
    }
    part: type[BaseModel] = File
    for name in path:
        part = parts.get(name, part) if isinstance(name, str) else part
    return [field.alias or name for name, field in part.model_fields.items()]


def describe(document: Document, path: Sequence[str | int]) -> str:
    """Returns "budget 'refunds': " for a place in a file: which rule a message is about."""
    if len(path) < 2 or not isinstance(path[1], int):
        return ""
    entry = document.value
    for part in path[:2]:
        entry = entry[part]
    section = str(path[0]).removesuffix("s")
    name = entry.get("name") if isinstance(entry, dict) else None
    if isinstance(name, list) and name:
        name = name[0]
    if isinstance(entry, dict) and name is None and isinstance(entry.get("http"), dict):
        name = entry["http"].get("path")
    return f"{section} '{name}': " if isinstance(name, str) else f"{section} {path[1] + 1}: "
