"""docs/rules.md: its examples load, and every key of the language is on it with its type, default and an example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.model import Json
from proxy.policy.editor_schema.generate import PARTS
from proxy.policy.editor_schema.key import Part
from proxy.policy.ruleset import RuleSet
from proxy.policy.yamlnodes import read_yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SCHEMA: dict[str, Any] = json.loads((ROOT / "rules" / "checkrein.schema.json").read_text())

HEADINGS = {
    "file": "The file",
    "tool": "tools",
    "http": "http",
    "graphql": "graphql",
    "returns": "returns",
    "trust_by": "trust_by",
    "effect": "effects",
    "settle": "settle",
    "gate": "gates",
    "budget": "budgets",
    "chain": "chains",
    "step": "steps",
    "require": "requires",
    "signal": "signals",
    "approval": "approvals and waiting",
    "escalate": "escalate",
    "waiting": "waiting",
    "undo": "undo",
    "undo_http": "undo over http",
    "undo_mcp": "undo over MCP",
    "action": "do",
    "command": "commands and statements",
    "statement": "statements",
    "prices": "prices",
    "model_price": "model_prices",
    "lexicon": "lexicon",
}
"""Where the keys of each part of a file are listed."""


def section(heading: str) -> str:
    """Returns what stands between a heading and the next one."""
    (text,) = re.findall(
        rf"^##+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    assert isinstance(text, str)
    return text


def rows(text: str) -> Iterator[list[str]]:
    """Yields the cells of the rows that are about a key."""
    table = re.search(r"^\| key \| type \| default \| meaning \|\n(?:\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    for line in table[0].splitlines()[2:]:
        yield [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_loads_without_warnings(text: str) -> None:
    assert RuleSet.load_text("example.yaml", text).warnings == ()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_key_has_a_row_with_its_type_and_default(part: Part) -> None:
    """As the hover texts of an editor have them."""
    told = {key: (type_, default) for key, type_, default, _ in rows(section(HEADINGS[part.name]))}
    assert told == {f"`{key.name}`": (key.type, key.default) for key in part.keys}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_row_says_what_the_key_means(part: Part) -> None:
    assert [key for key, _, _, said in rows(section(HEADINGS[part.name])) if not said] == []


def shapes(shape: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields a schema, and those that it is put together from."""
    if "$ref" in shape:
        yield from shapes(SCHEMA["definitions"][shape["$ref"].rpartition("/")[2]])
        return
    yield shape
    for inner in (*shape.get("anyOf", ()), *shape.get("allOf", ())):
        yield from shapes(inner)


def keys_met(value: Json, shape: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields (title of a part, key) for every key of a document."""
    for one in shapes(shape):
        if isinstance(value, list) and "items" in one:
            for item in value:
                yield from keys_met(item, one["items"])
        if isinstance(value, dict):
            for key in value.keys() & one.get("properties", {}).keys():
                yield one.get("title", ""), key
                yield from keys_met(value[key], one["properties"][key])


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_key_stands_in_an_example(part: Part) -> None:
    met = {
        found for text in EXAMPLES for found in keys_met(read_yaml("a.yaml", text).value, SCHEMA)
    }
    missing = [key.name for key in part.keys if (part.title, key.name) not in met]
    assert missing == []


def test_off_stands_in_an_example() -> None:
    assert re.search(r"off: true", "".join(EXAMPLES))
