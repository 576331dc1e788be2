"""Rule files as people write them: each bad or suspicious one beside its exact messages, each pack without a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.model import Verdict
from proxy.policy.codes import ERRORS, WARNINGS, Code, code_of
from proxy.policy.load import load_paths
from proxy.policy.problems import Problem, RuleErrors, Severity
from proxy.policy.ruleset import RuleSet

BAD = Path(__file__).parent / "bad"
WARNED = Path(__file__).parent / "warned"
CHECKING = (Path(__file__).resolve().parents[2] / "docs" / "rules-checking.md").read_text("utf-8")
RULES = Path(__file__).resolve().parents[2] / "rules"
PACKS = sorted(p for p in RULES.glob("*.yaml") if not p.name.endswith(".cases.yaml"))


def mistakes(name: str) -> tuple[Problem, ...]:
    with pytest.raises(RuleErrors) as caught:
        load_paths([Path(name)])
    return caught.value.problems


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_mistake_of_a_bad_file_is_told_with_its_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's name, line, column and text are the `.txt` beside it, to the letter."""
    monkeypatch.chdir(BAD)
    told = mistakes(path.name)
    assert "\n".join(map(str, told)) + "\n" == path.with_suffix(".txt").read_text(encoding="utf-8")
    assert {code_of(problem) for problem in told} <= {code.id for code in ERRORS}
    assert {problem.severity for problem in told} == {Severity.ERROR}


def test_the_corpus_has_every_kind_of_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """At least 80 files, and one at least for each code of an error."""
    monkeypatch.chdir(BAD)
    files = sorted(BAD.glob("*.yaml"))
    assert len(files) >= 80
    assert sorted(p.stem for p in files) == sorted(p.stem for p in BAD.glob("*.txt"))
    met = {code_of(problem) for path in files for problem in mistakes(path.name)}
    assert met == {code.id for code in ERRORS}


@pytest.mark.parametrize("path", sorted(WARNED.glob("*.yaml")), ids=lambda p: p.stem)
def test_what_is_suspicious_is_a_warning_at_its_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(WARNED)
    told = load_paths([Path(path.name)]).warnings
    lines = "".join(f"{problem}  [{code_of(problem)}]\n" for problem in told)
    assert lines == path.with_suffix(".txt").read_text(encoding="utf-8")
    assert {problem.severity for problem in told} == {Severity.WARNING}


def test_the_corpus_has_every_kind_of_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file at least for each code; that a tool is mapped twice takes two files."""
    monkeypatch.chdir(WARNED)
    files = [Path(path.name) for path in sorted(WARNED.glob("*.yaml"))]
    met = {code_of(problem) for path in files for problem in load_paths([path]).warnings}
    assert met | {"mapped-twice"} == {code.id for code in WARNINGS} | {"mapped-twice"}


@pytest.mark.parametrize("path", sorted((WARNED / "sound").glob("*.yaml")), ids=lambda p: p.stem)
def test_what_is_sound_is_none(path: Path) -> None:
    assert load_paths([path]).warnings == ()


@pytest.mark.parametrize("code", [*ERRORS, *WARNINGS], ids=lambda code: code.id)
def test_every_code_has_a_row(code: Code) -> None:
    assert f"| `{code.id}` | {code.summary} | {code.remedy} |" in CHECKING


@pytest.mark.parametrize("path", PACKS, ids=lambda p: p.stem)
def test_a_pack_loads_without_warnings(path: Path) -> None:
    rules = RuleSet.load([path])
    assert rules.warnings == ()
    assert rules.unmapped is Verdict.HOLD


def test_all_packs_load_together_and_a_file_given_twice_is_read_once() -> None:
    rules = RuleSet.load([RULES, PACKS[0]])
    assert len(rules.files) == len(PACKS)
    # Packs are alternatives, and may know the same tool: of two files the first counts.
    assert [str(w) for w in rules.warnings if code_of(w) != "mapped-twice"] == []


def test_mistakes_of_several_files_come_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1\nchain: []\n")
    (tmp_path / "b.yaml").write_bytes(b"version: 1 # \xff\n")
    (tmp_path / "c.cases.yaml").write_text("not: rules\n")
    with pytest.raises(RuleErrors) as caught:
        RuleSet.load([tmp_path, tmp_path / "none.yaml"])
    assert [str(p).removeprefix(f"{tmp_path}/") for p in caught.value.problems] == [
        "a.yaml:2:1: unknown key 'chain'; did you mean 'chains'?",
        "b.yaml:1:1: not UTF-8: byte 14",
        "none.yaml:1:1: cannot be read: No such file or directory",
    ]


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        ([""], Verdict.HOLD),
        (["unmapped: allow"], Verdict.ALLOW),
        (["unmapped: allow", ""], Verdict.ALLOW),
        (["unmapped: allow", "unmapped: block", "unmapped: hold"], Verdict.BLOCK),
    ],
    ids=["none-stated", "allow", "only-stated-ones-count", "strictest"],
)
def test_unmapped_is_the_strictest_that_is_stated(
    texts: list[str], verdict: Verdict, tmp_path: Path
) -> None:
    for i, text in enumerate(texts):
        (tmp_path / f"{i}.yaml").write_text(f"version: 1\n{text}\n")
    assert RuleSet.load([tmp_path]).unmapped is verdict


def test_the_digest_changes_with_the_contents_only() -> None:
    one = RuleSet.load_text("a.yaml", "version: 1\n").digest
    assert one == RuleSet.load_text("b.yaml", "version: 1\n").digest
    assert one != RuleSet.load_text("a.yaml", "version: 1\nunmapped: hold\n").digest


def test_yaml_1_2_words_stay_text() -> None:
    text = "version: 1\ntools: [{name: [no, on, yes, off], effects: []}]\n"
    assert RuleSet.load_text("a.yaml", text).warnings == ()


def test_a_budget_over_a_kind_that_no_tool_produces_is_a_warning() -> None:
    text = (
        "version: 1\n"
        "tools: [{name: a, effects: [{kind: money.refund, amount: 1, unit: EUR}]}]\n"
        "budgets: [{name: b, of: money.refnd, sum: EUR, limit: 1}]\n"
    )
    assert [str(w) for w in RuleSet.load_text("a.yaml", text).warnings] == [
        "a.yaml:3:25: budget 'b': no tool produces an effect 'money.refnd'; did you mean 'money.refund'?"
    ]
