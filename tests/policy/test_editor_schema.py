"""The schema for editors against the loader: never stricter, and as strict as JSON Schema can say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from pydantic import TypeAdapter, ValidationError

from proxy.cli.rules.schema import rules_schema_text
from proxy.model import Json
from proxy.policy.codes import code_of
from proxy.policy.editor_schema.generate import PARTS
from proxy.policy.editor_schema.key import Key, Part
from proxy.policy.load import load_paths, load_texts
from proxy.policy.packs import Library
from proxy.policy.problems import RuleErrors
from proxy.policy.schema import PARTS as PARTS_OF_SCHEMA
from proxy.policy.shape import tupled
from proxy.policy.yamlnodes import read_yaml

ROOT = Path(__file__).resolve().parents[2]
SCHEMA_FILE = ROOT / "rules" / "checkrein.schema.json"
SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
WHOLE = Draft7Validator(SCHEMA)
PACKS = sorted(p for p in (ROOT / "rules").glob("*.yaml") if not p.name.endswith(".cases.yaml"))
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BAD = sorted((ROOT / "tests" / "policy" / "bad").glob("*.yaml"))


def plain(value: Json) -> Json:
    """Returns a value as jsonschema takes it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def faults(text: str) -> list[str]:
    """Returns where the schema finds a mistake, and which."""
    value = plain(read_yaml("rules.yaml", text).value)
    return [f"{error.json_path}: {error.message}" for error in WHOLE.iter_errors(value)]


# --- the file --------------------------------------------------------------------------------------------
def test_the_file_is_what_the_code_says() -> None:
    text = SCHEMA_FILE.read_text(encoding="utf-8")
    assert text == rules_schema_text(), (
        "rules/checkrein.schema.json is old: checkrein rules schema --write rules/checkrein.schema.json"
    )


def test_it_is_a_schema_of_draft_7() -> None:
    Draft7Validator.check_schema(SCHEMA)


def test_every_reference_is_to_a_definition() -> None:
    named = set(re.findall(r'"\$ref": "#/definitions/(\w+)"', json.dumps(SCHEMA)))
    assert named == set(SCHEMA["definitions"])


# --- whole files ---------------------------------------------------------------------------------------------
def examples() -> Iterator[tuple[str, str]]:
    """Yields the rule files on the pages, with where they stand."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for i, block in enumerate(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)):
            if "people:" not in block:  # a people file
                yield f"{page.relative_to(ROOT)}-{i}", block


EXAMPLES = dict(examples())


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_a_pack_fits(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("where", EXAMPLES)
def test_an_example_of_the_pages_fits(where: str) -> None:
    assert faults(EXAMPLES[where]) == []


OF_ONE_PLACE = {"missing-key", "unknown-key", "unknown-word", "wrong-type", "keys-together"}
OF_ONE_PLACE |= {"invalid-value"}
"""Codes of mistakes that a schema can see: they are about one entry, and not about what an expression means."""
SAID_BY_THE_LOADER_ALONE = {"signal-hours": "hours and time zones are a language of their own"}
SAID_BY_BOTH = {"extends-type": "the code is that of all that is wrong with `extends`"}


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_mistake_of_shape_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the bad files the schema refuses those whose mistake is one of shape, and no other."""
    monkeypatch.chdir(path.parent)
    with pytest.raises(RuleErrors) as caught:
        load_paths([Path(path.name)])
    codes = {code_of(problem) for problem in caught.value.problems}
    if codes & {"unreadable-file", "yaml-syntax", "duplicate-key"}:
        return  # the editor's YAML parser says so
    found = faults(path.read_text(encoding="utf-8"))
    seen = bool(codes & OF_ONE_PLACE) or path.stem in SAID_BY_BOTH
    assert bool(found) == (seen and path.stem not in SAID_BY_THE_LOADER_ALONE)


# --- every key ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_has_the_keys_of_its_model(part: Part) -> None:
    fields = part.model.model_fields
    names = [field.alias or name for name, field in fields.items()]
    assert sorted(key.name for key in part.keys) == sorted(names)
    needed = [field.alias or name for name, field in fields.items() if field.is_required()]
    assert sorted(part.required) == sorted(needed)


KEYS = [(part, key) for part in PARTS for key in part.keys]
IDS = [f"{part.name}-{key.name}" for part, key in KEYS]


@pytest.mark.parametrize(("part", "key"), KEYS, ids=IDS)
def test_a_key_says_what_it_is(part: Part, key: Key) -> None:
    """Meaning, type and example; its default is `required` where the model says so."""
    assert key.meaning.endswith(".")
    assert key.type
    assert (key.default == "required") >= (key.name in part.required)


def adapter(part: Part, key: Key) -> TypeAdapter[Any]:
    fields = {field.alias or name: field for name, field in part.model.model_fields.items()}
    return TypeAdapter(fields[key.name].rebuild_annotation())


def accepts(part: Part, key: Key, value: Json) -> bool:
    """Whether the model takes a value under a key."""
    try:
        adapter(part, key).validate_python(tupled(value))
    except ValidationError:
        return False
    return True


def fits(part: Part, key: Key, value: Json) -> bool:
    """Whether the schema takes a value under a key."""
    where = SCHEMA if part.name == "file" else SCHEMA["definitions"][part.name]
    shape = {**where["properties"][key.name], "definitions": SCHEMA["definitions"]}
    return Draft7Validator(shape).is_valid(plain(value))


@pytest.mark.parametrize(("part", "key"), KEYS, ids=IDS)
def test_a_keys_example_is_taken_by_both(part: Part, key: Key) -> None:
    value = read_yaml("example", f"{key.name}: {key.example}").value[key.name]
    assert taken_by_the_loader(part, key, value)
    assert fits(part, key, value)


SCALARS: tuple[Json, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    1001,
    Decimal("0.5"),
    Decimal("1.5"),
    "",
    " ",
    "x",
    "Two words",
    "a.b",
    "A_b",
    "*",
    "@host",
    "/p/{id}",
    "no:port",
    "[::1]",
    "24h",
    "24",
    "0h",
    "100 EUR",
    "EUR",
    "hold",
    "block",
    "allow",
    "shadow",
    "session",
    "fleet",
    "target",
    "checkpoint",
    "order",
    "trusted",
    "mutation",
    "postgres",
    "select",
    "loop",
    "siem.alert",
    "freeze",
    "irreversible",
    "pay money",
)
VALUES: tuple[Json, ...] = (
    *SCALARS,
    [],
    *([scalar] for scalar in SCALARS),
    ["a", "b"],
    ["a", 1],
    {},
    {"x": 1},
    {"from": "a"},
    {"pay": "a"},
    {"pay": "pay money"},
    {"money": "pay"},
    {"money": ["pay"]},
    {"money": ["("]},
    {"url": "a"},
    {"hard": "a"},
    {"pay": "irreversible"},
    {"a.b": ["c"]},
    {"a b": "c"},
    {"per": "agent"},
    {"per": "human"},
    {"window": "1h"},
    {"of": "a"},
    {"kind": "a"},
    {"freeze": True},
    [{"freeze": True}],
    [{"of": "a"}, "b"],
    ["a", ["b", "c"]],
    "https://x.example",
    {"tool": "a"},
)
# What the model leaves to the loader is asked of the loader: a document with the value in it.
DOCUMENTS = {
    "file-vars": "version: 1\nvars: VALUE\n",
    "budget-limit": "version: 1\nbudgets: [{name: b, sum: EUR, limit: VALUE}]\n",
    "budget-sum": "version: 1\nbudgets: [{name: b, sum: VALUE, limit: 1}]\n",
    "signal-do": "version: 1\nbudgets: [{name: autonomy, sum: points, limit: 1}]\n"
    "signals: [{on: tools-changed, do: VALUE}]\n",
    "tool-undo": "version: 1\ntools: [{name: a, effects: [], undo: VALUE}]\n",
}
# Here the schema takes what the loader refuses.
LAXER = {
    **{
        f"lexicon-{name}": "\\w is another class in ECMAScript, where it would refuse letters beyond ASCII"
        for name in [
            "shared",
            "handover",
            "opened_to_read",
            "people",
            "things",
            "contents",
            "carries_out",
            "weak",
            "own",
            "strangers",
            "common",
            "vendors",
        ]
    },
    **{
        f"lexicon-{name}": "whether a pattern is RE2 is known when it is compiled"
        for name in ("asks_patterns", "delegates", "owes")
    },
    "budget-sum": "which units there are is known from the effects of all files",
}


def written(value: Json) -> str:
    return json.dumps(plain(value))


def taken_by_the_loader(part: Part, key: Key, value: Json) -> bool:
    document = DOCUMENTS.get(f"{part.name}-{key.name}")
    if document is None or not (accepts(part, key, value) or key.name == "limit"):
        return accepts(part, key, value)
    try:
        load_texts([("rules.yaml", document.replace("VALUE", written(value)))])
    except RuleErrors:
        return False
    return True


@pytest.mark.parametrize(("part", "key"), KEYS, ids=IDS)
def test_a_keys_shape_is_that_of_the_loader(part: Part, key: Key) -> None:
    """No value that the loader takes is refused; what it refuses is refused, where it can be said."""
    taken = [value for value in VALUES if taken_by_the_loader(part, key, value)]
    assert taken != []
    assert [value for value in taken if not fits(part, key, value)] == []
    missed = [value for value in VALUES if value not in taken and fits(part, key, value)]
    assert bool(missed) == (f"{part.name}-{key.name}" in LAXER)


# --- files that extend, variables ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("extends: support-desk\ngates: [{name: a, verdict: block}]", []),
        ("extends: support-desk\nbudgets: [{name: a, limit: 50 EUR}, {name: b, off: true}]", []),
        ("extends: [support-desk]\ntools: [{name: [a, b], off: true}, {name: c, returns: {}}]", []),
        ("extends: a\nrequires: [{name: b, within: 1h}]\nchains: [{name: c, flow: observed}]", []),
        ("extends: a\nsignals: [{name: b, per: agent}, {on: loop, off: true, name: c}]", []),
        ("extends: a\nsignals: [{on: tools-changed, do: freeze}]", []),
        ("extends: a\ngates: [{verdict: block}]", ["gates[0]"]),
        ("extends: a\ngates: [{name: a, verdikt: block}]", ["gates[0]"]),
        ("extends: a\ncommands: [{run: ls}]", ["commands[0]"]),
        ("extends: a\nsignals: [{on: loop}]", ["signals[0]"]),
        ("gates: [{name: a, verdict: block}]", ["gates[0]"]),
        ("gates: [{name: a, when: 'true', off: true}]", ["gates[0]"]),
        ("budgets: [{name: a, limit: 1}]", ["budgets[0]"]),
    ],
    ids=range(13),
)
def test_an_entry_of_a_file_that_extends_needs_only_its_name(text: str, wrong: list[str]) -> None:
    found = faults(f"version: 1\n{text}\n")
    assert [error.partition(":")[0].removeprefix("$.") for error in found] == wrong


VARIED = """\
version: 1
mode: $mode
vars: {mode: enforce, verdict: hold, kind: money.refund, kinds: [money.refund, money.pay], n: 5, share: 0.5,
       span: 1h, unit: EUR, most: 100 EUR, yes: true, per: agent, host: h.internal, labels: [a, b],
       sql: postgres, word: select, back: irreversible, big: {type: number, default: 1, about: Of one call.}}
tools:
  - name: $kinds
    effects: [{kind: $kind, amount: $n, unit: $unit, points: $n, labels: $labels, reversibility: $back, when: args.a > $n}]
    returns: {trust: trusted, labels: $labels}
  - {http: {method: POST, host: $host, path: /a}, effects: []}
  - {sql: run, argument: args.q, dialect: $sql}
statements: [{statement: $word, effects: []}]
gates: [{name: g, when: effect.amount > $big, verdict: $verdict, message: More than $n.}]
budgets:
  - {name: b, of: $kinds, sum: $unit, limit: $most, per: $per, window: $span, warn_at: $share, on_exceed: $verdict}
  - {name: c, of: [$kind, money.pay], count: $yes, limit: $n}
chains: [{name: d, steps: [$kinds, $kind], within: $span, unless: $kinds, on_match: $verdict}]
requires: [{name: e, for: $kinds, evidence: $kind, within: $span}]
signals: [{on: loop, count: $n, within: $span, do: {scale: b, by: $share}, for: $span}]
model_prices: [{model: m, input: $n, output: $n}]
prices: {kinds: {a: $n}}
unmapped: $verdict
model_hosts: $host
"""


def test_a_variable_stands_wherever_a_value_stands() -> None:
    load_texts([("rules.yaml", VARIED)])
    assert faults(VARIED) == []


@pytest.mark.parametrize(
    "value",
    ["$Name", "$", "a $n", "$n.b"],
)
def test_what_is_no_variable_is_no_word(value: str) -> None:
    assert faults(f"version: 1\nunmapped: {value}\n") != []


# --- what an editor shows --------------------------------------------------------------------------------
def test_every_key_has_a_hover_text_with_an_example() -> None:
    for part, key in KEYS:
        where = SCHEMA if part.name == "file" else SCHEMA["definitions"][part.name]
        shown = where["properties"][key.name]
        assert key.meaning in shown["markdownDescription"]
        assert f"```yaml\n{key.name}: {key.example}" in shown["markdownDescription"]
        assert "`" not in shown["description"]


def stood_in(body: Json) -> Json:
    """Returns a snippet as an editor puts it in when nobody types anything."""
    if isinstance(body, dict):
        return {key: stood_in(value) for key, value in body.items()}
    if isinstance(body, list):
        return [stood_in(value) for value in body]
    if not isinstance(body, str):
        return body
    text = re.sub(r"\$\{\d+\|([^,|]*)[^}]*\}", r"\1", body)
    text = re.sub(r"\$\{\d+:((?:[^}\\]|\\.)*)\}", r"\1", text).replace("\\}", "}")
    return int(Decimal(text[1:])) if text.startswith("^") else text


SNIPPETS = [
    (part, label, body)
    for part in PARTS
    for label, body in part.snippets.items()
    if part.model in PARTS_OF_SCHEMA.values()
]


@pytest.mark.parametrize(
    ("part", "body"),
    [(part, body) for part, _, body in SNIPPETS],
    ids=[label.replace(" ", "-") for _, label, _ in SNIPPETS],
)
def test_a_snippet_makes_an_entry_that_loads(part: Part, body: Json) -> None:
    section = next(name for name, model in PARTS_OF_SCHEMA.items() if model is part.model)
    document = {"version": 1, section: [stood_in(body)]}
    text = json.dumps(document)
    assert faults(text) == []
    load_texts([("rules.yaml", text)])


# --- keys in whole documents -----------------------------------------------------------------------------
PLACES = {
    "http": {"tools": [{"http": "PART", "effects": []}]},
    "effect": {"tools": [{"name": "a", "effects": ["PART"]}]},
    "returns": {"tools": [{"name": "a", "effects": [], "returns": "PART"}]},
    "step": {"chains": [{"name": "a", "steps": ["PART", "b"]}]},
    "action": {"signals": [{"on": "tools-changed", "do": "PART"}]},
    "prices": {"prices": "PART"},
    "lexicon": {"lexicon": "PART"},
    **{
        part.name: {section: ["PART"]}
        for part in PARTS
        for section, model in PARTS_OF_SCHEMA.items()
        if part.model is model
    },
    "signal": {
        "budgets": [{"name": "autonomy", "sum": "points", "limit": 1}],
        "signals": ["PART"],
    },
}
"""Where a part stands in the smallest file that has one."""


def with_part(place: Json, made: Json) -> Json:
    if isinstance(place, dict):
        return {key: with_part(value, made) for key, value in place.items()}
    if isinstance(place, list):
        return [with_part(value, made) for value in place]
    return made if place == "PART" else place


@pytest.mark.parametrize("part", [p for p in PARTS if p.name in PLACES], ids=lambda p: p.name)
@pytest.mark.parametrize("top", [{}, {"extends": "base"}], ids=["alone", "extending"])
def test_no_file_that_loads_is_refused(part: Part, top: dict[str, Json], tmp_path: Path) -> None:
    """A part with what it needs, and one key of it with any value that its model takes."""
    keys = {key.name: key for key in part.keys}
    example = {
        name: read_yaml("example", f"key: {key.example}").value["key"] for name, key in keys.items()
    }
    needed = {name: example[name] for name in part.required}
    (tmp_path / "base.yaml").write_text("version: 1\n")
    library = Library([tmp_path])
    loaded = 0
    for key in part.keys:
        for value in (example[key.name], *VALUES):
            if not accepts(part, key, value):
                continue
            made = with_part(PLACES[part.name], needed | {key.name: value})
            text = json.dumps(plain({"version": 1, **top, **made}))
            try:
                load_texts([("rules.yaml", text)], library=library)
            except RuleErrors:
                continue
            loaded += 1
            assert faults(text) == [], text
    assert loaded > 0
