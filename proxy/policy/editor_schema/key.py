"""One key of the language, and one part of a file that has keys: what both say to an editor.

What belongs here: the records that the tables in `keys_….py` are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from proxy.policy.editor_schema.shapes import Schema


@dataclass(frozen=True, slots=True)
class Key:
    """One key; `type` and `default` are the columns of docs/rules.md."""

    name: str
    shape: Schema
    type: str
    default: str
    meaning: str
    example: str  # YAML: what stands behind the key


@dataclass(frozen=True, slots=True)
class Part:
    """A mapping of keys: a whole file, an entry of a section, or a part of one."""

    name: str  # under `definitions`
    title: str
    model: type[BaseModel]
    keys: tuple[Key, ...]
    required: tuple[str, ...] = ()
    together: Schema = field(default_factory=dict)  # which keys need, or exclude, which others
    snippets: Mapping[str, Any] = field(default_factory=dict)  # label -> what is put in
