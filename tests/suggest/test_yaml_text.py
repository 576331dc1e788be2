"""Strangers' words in a rule file: read as they were, and never as anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.model import Json
from proxy.policy.load import load_texts
from proxy.policy.yaml_text import scalar, shown, why_unwritable
from proxy.suggest.seen import SeenLog, SeenTool
from proxy.suggest.unknown import unknown_tools
from proxy.suggest.writing import file_text

NASTY = [
    "a\n- name: b", "a # b", "a: b", "- a", "? a", "!!str a", "&a", "*a", "'", '"', "\\", "\\n", "a\r", "\x85", "\u2028", "\u2029",
    "\x00", "\x1b[31m", "\ufeff", "\u202e", "$name", "$$name", "$Name", "a$b", "{{a}}", "{a: b}", "[a]", "*", "a*", "a?", "~", "null", "true", "yes",
    "12", "1e3", "0x1", ".inf", "<<", "=", "%TAG", "---", "...", "# checkrein: ignore[may-fail]", "x # checkrein: ignore[may-fail]",
    "checkrein: ignore[may-fail]", "a" * 255 + " # checkrein: ignore[may-fail]", "é", "日本", "😀", "\ud800", "\U000e0001", " ", " a ", "\t", "",
]  # fmt: skip
WORDS = (
    st.sampled_from(NASTY) | st.text(max_size=30) | st.from_regex(r"[a-z_$]{1,12}", fullmatch=True)
)
VALUES = st.recursive(
    WORDS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
HINTS = st.dictionaries(st.sampled_from(["readOnlyHint", "destructiveHint"]), st.booleans())


def load_name(written: str) -> tuple[str, ...]:
    text = f"version: 1\ntools:\n  - name: {written}\n    effects: []\n"
    (tool,) = load_texts([("r.yaml", text)]).tools
    return tool.names


@given(WORDS)
def test_a_name_is_read_as_it_was(name: str) -> None:
    """Whatever a rule file can name is named by exactly this; of the rest it is said why not."""
    if why_unwritable(name) is None:
        assert load_name(scalar(name)) == (name,)


@pytest.mark.parametrize(
    "name", ["*", "a?", "[a]", "", "a\nb", "\u202ea", "$$name", "\ud800", "x" * 300]
)
def test_what_a_rule_file_cannot_name_alone(name: str) -> None:
    assert why_unwritable(name) is not None


@given(st.text(max_size=200) | WORDS)
def test_a_comment_ends_where_it_should(text: str) -> None:
    """One line, nothing that a terminal or YAML reads as more, nothing that silences a warning."""
    made = shown(text)
    assert made.isprintable()
    assert "#" not in made
    assert "checkrein:" not in made
    assert yaml.safe_load(f"a: 1  # {made}\nb: 2\n") == {"a": 1, "b": 2}


@st.composite
def logs(draw: st.DrawFn) -> SeenLog:
    seen = SeenLog()
    for name in draw(st.lists(WORDS, min_size=1, max_size=4)):
        tool = seen.tools[name] = SeenTool(name)
        tool.servers = set(draw(st.lists(WORDS, max_size=2)))
        tool.description = draw(WORDS | st.just("Pays. # checkrein: ignore[may-fail]"))
        tool.hints = draw(st.lists(HINTS, max_size=2))
        properties = draw(
            st.dictionaries(
                WORDS, st.fixed_dictionaries({"type": WORDS, "description": WORDS}), max_size=3
            )
        )
        tool.fields.state({"properties": properties, "required": list(properties)})
        for arguments in draw(
            st.lists(st.dictionaries(WORDS, VALUES, max_size=4) | VALUES, max_size=3)
        ):
            tool.calls += 1
            tool.fields.take(arguments)
    return seen


@settings(max_examples=300)
@given(logs())
def test_a_hostile_log_makes_a_file_of_entries_and_nothing_else(seen: SeenLog) -> None:
    """Names, arguments, descriptions, types and values of any sort: the file loads without a warning, names exactly the tools
    that were seen, and its entries are those that were proposed."""
    made = unknown_tools(seen, load_texts([("none.yaml", "version: 1\n")]))
    head = [f"Left out: the tool {shown(name)}, whose name {why}." for name, why in made.unwritable]
    text = file_text("suggested", head, made.entries, ())
    loaded = load_texts([("s.yaml", text)])
    assert loaded.warnings == ()
    names = [name for tool in loaded.tools for name in tool.names]
    assert sorted(names) == sorted(n for n in seen.tools if why_unwritable(n) is None)
    assert [[e.kind for e in t.effects] for t in loaded.tools] == [
        [e.kind] if e.kind is not None else [] for e in made.entries
    ]
    others = (loaded.gates, loaded.budgets, loaded.chains, loaded.requires, loaded.signals)
    assert not any(others)
    assert loaded.all_in_shadow
    assert all(line.isprintable() for line in text.splitlines())
    _keys_are(yaml.safe_load(text))


def _keys_are(value: Json) -> None:
    assert set(value) <= {"version", "pack", "mode", "tools"}
    for tool in value.get("tools") or ():
        assert set(tool) == {"name", "effects"}


def test_what_is_written_is_utf_8(tmp_path: Path) -> None:
    """A name outside of ASCII stays readable; half a surrogate is left out, not a crash."""
    seen = SeenLog(tools={n: SeenTool(n) for n in ("löschen", "\ud800x")})
    made = unknown_tools(seen, load_texts([("none.yaml", "version: 1\n")]))
    path = tmp_path / "s.yaml"
    head = [shown(name) for name, _ in made.unwritable]
    path.write_text(file_text("p", head, made.entries, ()), "utf-8")
    assert '- name: "löschen"' in path.read_text("utf-8")
    assert "\\ud800x" in path.read_text("utf-8")
