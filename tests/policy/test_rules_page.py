"""docs/rules.md: its examples load, and every key of the language is on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from proxy.policy import schema
from proxy.policy.ruleset import RuleSet

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_there_is_an_example() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_loads_without_warnings(text: str) -> None:
    assert RuleSet.load_text("example.yaml", text).warnings == ()


PARTS = [
    schema.File,
    schema.Tool,
    schema.Http,
    schema.EffectPart,
    schema.Gate,
    schema.Budget,
    schema.Chain,
    schema.Require,
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_key_has_a_row(part: type[BaseModel]) -> None:
    keys = [field.alias or name for name, field in part.model_fields.items()]
    missing = [key for key in keys if f"\n| `{key}` |" not in PAGE]
    assert missing == []
