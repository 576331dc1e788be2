"""The JSON Schema of a rule file, put together from the tables of keys.

What belongs here: how a key becomes a property with its hover text, and a part of a file a definition; which keys a
file with `extends:` may leave out. JSON Schema draft-07, which every YAML editor reads; `markdownDescription`,
`enumDescriptions` and `defaultSnippets` are additions that yaml-language-server and VS Code read.

An entry of a file that extends packs may be a change of one of theirs: it needs its name alone, and `off: true`
takes the other away. So what entries need stands in the branch of files without `extends:`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from proxy.policy import schema
from proxy.policy.editor_schema import (
    keys_of_answers,
    keys_of_files,
    keys_of_rules,
    keys_of_signals,
    keys_of_tools,
)
from proxy.policy.editor_schema.key import Key, Part
from proxy.policy.editor_schema.shapes import (
    KIND_NAME,
    KIND_PATTERN,
    NOTHING,
    SPANNED,
    TEXT,
    UNIT_NAME,
    Schema,
    any_of,
    offered,
    or_variable,
    words,
)
from proxy.policy.units import CURRENCIES

_ENTRIES = (
    keys_of_tools.TOOL,
    keys_of_rules.GATE,
    keys_of_rules.BUDGET,
    keys_of_rules.CHAIN,
    keys_of_rules.REQUIRE,
    keys_of_signals.SIGNAL,
    keys_of_answers.APPROVAL,
    keys_of_answers.WAITING,
    keys_of_tools.COMMAND,
    keys_of_tools.STATEMENT,
    keys_of_files.MODEL_PRICE,
)
_INNER = (
    keys_of_tools.HTTP,
    keys_of_tools.GRAPHQL,
    keys_of_tools.EFFECT,
    keys_of_tools.SETTLE,
    keys_of_tools.RETURNS,
    keys_of_tools.TRUST_BY,
    keys_of_tools.UNDO,
    keys_of_tools.UNDO_HTTP,
    keys_of_tools.UNDO_MCP,
    keys_of_rules.STEP,
    keys_of_signals.ACTION,
    keys_of_answers.ESCALATE,
    keys_of_files.PRICES,
    keys_of_files.LEXICON,
)
PARTS = (keys_of_files.FILE, *_ENTRIES, *_INNER)
"""All parts of a rule file that have keys."""

_NAMED = frozenset({"tool", "gate", "budget", "chain", "require", "signal", "approval"})
"""Entries that a file can change by their name."""
_OFF = Key(
    "off",
    {"type": "boolean"},
    "`true`",
    "",
    "In a file with `extends`: takes away the entry of this name.",
    "true",
)
_UNITS = ("tokens", "bytes", "rows", "requests")


def rules_schema(kinds: Iterable[str] = (), packs: Iterable[str] = ()) -> Schema:
    """Returns the schema; kinds of effects and names of packs are what an editor offers."""
    offers = sorted(kinds)
    section_of = {part.model: name for name, part in _sections()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "Generated from proxy/policy/editor_schema by `checkrein rules schema`.",
        **_part(keys_of_files.FILE),
        "if": {"required": ["extends"]},
        "else": {
            "properties": {section_of[part.model]: {"items": _needs(part)} for part in _ENTRIES}
        },
        "then": {
            "properties": {
                section_of[part.model]: {"items": _needs_when_extending(part)} for part in _ENTRIES
            }
        },
        "definitions": {
            **{part.name: _part(part, inner=True) for part in _INNER},
            **{part.name: _part(part) for part in _ENTRIES},
            "kind": {"title": "a kind"} | offered(or_variable(KIND_NAME), offers),
            "kinds": {"title": "a kind or glob"} | offered(or_variable(KIND_PATTERN), offers),
            "unit": {"title": "a unit"}
            | offered(or_variable(UNIT_NAME), (*_UNITS, *sorted(CURRENCIES))),
            "summed": {"title": "a unit"}
            | offered(or_variable(UNIT_NAME), ("points", *_UNITS, *sorted(CURRENCIES))),
            "pack_name": {"title": "a pack"} | offered(TEXT, sorted(packs)),
            "within": _within(),
            "variables": keys_of_files.VARIABLES,
        },
    }


def as_text(made: Schema) -> str:
    """Returns a schema as it stands in its file."""
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _sections() -> Iterable[tuple[str, Part]]:
    of = {part.model: part for part in _ENTRIES}
    return [(name, of[model]) for name, model in schema.PARTS.items()]


def _part(part: Part, *, inner: bool = False) -> Schema:
    properties = {key.name: _property(key, nothing=_may_be_nothing(part, key)) for key in part.keys}
    if part.name in _NAMED:
        properties[_OFF.name] = _property(_OFF, nothing=False)
    made: Schema = {
        "title": part.title,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if part.snippets:
        made["defaultSnippets"] = [
            {"label": label, "body": body} for label, body in part.snippets.items()
        ]
    if inner or part is keys_of_files.FILE:
        made |= _needs(part)
    return made


def _needs(part: Part) -> Schema:
    """Returns what an entry must have, and which keys stand together."""
    made: Schema = dict(part.together)
    if part.required:
        made["required"] = list(part.required)
    if part.name in _NAMED:
        made["properties"] = {_OFF.name: False}
    return made


def _needs_when_extending(part: Part) -> Schema:
    """Returns what an entry must have that may be a change of one of a pack's."""
    if part.name not in _NAMED:
        return _needs(part)
    if part is keys_of_tools.TOOL:
        return {"oneOf": [{"required": [way]} for way in keys_of_tools.WAYS]}
    if part is keys_of_signals.SIGNAL:
        return {"anyOf": [{"required": ["name"]}, {"required": list(part.required)}]}
    return {"required": ["name"]}


def _property(key: Key, *, nothing: bool) -> Schema:
    default = f", default {key.default}" if key.default not in ("", "required") else ""
    stated = ", required" if key.default == "required" else default
    example = "\n".join(f"{key.name}: {line}" for line in key.example.splitlines())
    shape = any_of(key.shape, NOTHING) if nothing else key.shape
    if "$ref" in shape:
        shape = {"allOf": [shape]}  # beside a reference nothing else is read
    return {
        "description": f"{key.meaning} ({key.type}{stated})".replace("`", ""),
        "markdownDescription": f"{key.meaning}\n\n*{key.type}{stated}*\n\n```yaml\n{example}\n```",
        **shape,
    }


def _may_be_nothing(part: Part, key: Key) -> bool:
    """Whether the model takes a key with nothing behind it."""
    fields = {field.alias or name: field for name, field in part.model.model_fields.items()}
    try:
        TypeAdapter(fields[key.name].rebuild_annotation()).validate_python(None)
    except ValidationError:
        return False
    return True


def _within() -> Schema:
    per = words(("session", "One session."), ("agent", "One agent."))
    return {
        "title": "Where the steps of a chain belong together",
        "type": "object",
        "minProperties": 1,
        "properties": {"per": per, "window": SPANNED},
        "additionalProperties": False,
    }
