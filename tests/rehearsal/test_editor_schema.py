"""The schema of cases files against the readers: the same keys, and never stricter."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from proxy.model import Json
from proxy.policy.editor_schema.generate import as_text
from proxy.policy.problems import RuleErrors
from proxy.policy.yamlnodes import read_yaml
from proxy.rehearsal.casefile import read_cases
from proxy.rehearsal.editor_schema import CASE, EXPECTATION, FILE, REQUEST, STEPS, cases_schema
from proxy.rehearsal.step_reading import STEPS as READ

ROOT = Path(__file__).resolve().parents[2]
SCHEMA_FILE = ROOT / "rules" / "checkrein-cases.schema.json"
SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
VALIDATOR = Draft7Validator(SCHEMA)
CASES = sorted((ROOT / "rules").glob("*.cases.yaml"))
PAGE = (ROOT / "docs" / "rules-testing.md").read_text(encoding="utf-8")


def plain(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def fits(text: str) -> bool:
    return VALIDATOR.is_valid(plain(read_yaml("a.cases.yaml", text).value))


def reads(text: str) -> bool:
    try:
        read_cases(Path("a.cases.yaml"), text)
    except RuleErrors:
        return False
    return True


def test_the_file_is_what_the_code_says() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == as_text(cases_schema()), (
        "rules/checkrein-cases.schema.json is old: "
        "checkrein rules schema --cases --write rules/checkrein-cases.schema.json"
    )
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name.removesuffix(".cases.yaml"))
def test_the_cases_of_a_pack_fit(path: Path) -> None:
    value = plain(read_yaml(path.name, path.read_text(encoding="utf-8")).value)
    assert [f"{e.json_path}: {e.message}" for e in VALIDATOR.iter_errors(value)] == []


def test_the_example_of_the_page_fits() -> None:
    (text,) = re.findall(r"```yml\n(version: 1\ncases:.*?)```", PAGE, re.DOTALL)
    assert reads(text)
    assert fits(text)


def test_there_are_the_steps_that_are_read() -> None:
    assert list(STEPS) == list(READ)


def of_step(keys: dict[str, str]) -> str:
    lines = ", ".join(f"{key}: {value}" for key, value in keys.items())
    return f"version: 1\ncases: [{{name: a, steps: [{{{lines}}}]}}]\n"


EVERY = {name: key.example for keys in STEPS.values() for name, key in keys.items()} | {"zzz": "1"}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_has_the_keys_that_are_read(step: str) -> None:
    """Each key of any step beside this one's: what is read fits, what is not does not."""
    own = {step: STEPS[step][step].example}
    assert reads(of_step(own))
    assert fits(of_step(own))
    for name, example in EVERY.items():
        text = of_step(own | {name: example})
        assert (name, fits(text)) == (name, reads(text))


def put(shape: str, name: str, value: str) -> str:
    """Returns a file with a key in the part of it that has such keys."""
    if shape == "file":
        parts = {"version": "1", "cases": "[{name: a, steps: []}]"} | {name: value}
        return "\n".join(f"{key}: {said}" for key, said in parts.items()) + "\n"
    if shape == "case":
        parts = {"name": "a", "steps": "[]"} | {name: value}
        lines = ", ".join(f"{key}: {said}" for key, said in parts.items())
        return f"version: 1\ncases: [{{{lines}}}]\n"
    if shape == "request":
        parts = {"method": "GET", "host": "a", "path": "/"} | {name: value}
        lines = ", ".join(f"{key}: {said}" for key, said in parts.items())
        return of_step({"http": f"{{{lines}}}"})
    if shape == "expectation":
        return of_step({"call": "a", "expect": f"{{{name}: {value}}}"})
    own = {shape: STEPS[shape][shape].example}
    if name in ("error", "status"):
        own |= {"result": "a"}
    return of_step(own | {name: value})


PARTS = {"file": FILE, "case": CASE, "request": REQUEST, "expectation": EXPECTATION, **STEPS}
PLACES = [(part, name) for part, keys in PARTS.items() for name in keys]
VALUES = (
    "",
    "true",
    "0",
    "1",
    "2",
    "600",
    "0.5",
    "'1'",
    "a",
    "again",
    "last",
    "allow",
    "hold",
    "claimed",
    "25h",
    "1.5s",
    "'2026-01-05'",
    "[]",
    "[a]",
    "[1]",
    "[a, {kind: b, amount: 1}]",
    "[{amount: 1}]",
    "{}",
    "{a: 1}",
    "{a: b}",
    "{a: {after: 1}}",
    "{a: {afte: 1}}",
    "{a: {}}",
    "{kind: a}",
    "{verdict: allow}",
    "[{call: a}]",
    "[{call: again}]",
)
LAXER = {
    ("file", "rules"): "whether a name is that of a pack is looked up",
    ("case", "at"): "dates are read by a reader of their own",
    ("calls", "calls"): "of several calls at once none is made again",
}


@pytest.mark.parametrize(("part", "name"), PLACES, ids=[f"{p}-{n}" for p, n in PLACES])
def test_a_keys_shape_is_that_of_the_reader(part: str, name: str) -> None:
    texts = [put(part, name, value) for value in (*VALUES, PARTS[part][name].example)]
    assert [text for text in texts if reads(text) and not fits(text)] == []
    assert reads(texts[-1])
    missed = [text for text in texts if fits(text) and not reads(text)]
    assert (missed != []) == ((part, name) in LAXER)


def test_every_key_has_a_hover_text() -> None:
    for keys in PARTS.values():
        for name, key in keys.items():
            assert key.meaning.endswith("."), name
            assert key.example, name
