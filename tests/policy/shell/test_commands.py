"""`commands:` entries: which one wins, what `@` entries are asked, and what holds whatever they say."""

from __future__ import annotations

import pytest

from proxy.model import Json
from proxy.policy.cel import Scope
from proxy.policy.load import load_texts
from proxy.policy.problems import RuleErrors
from proxy.policy.shell.commands import CommandTable, compile_commands
from tests.policy.shell.conftest import CALL, Answer, judged


def table(commands: str) -> CommandTable:
    loaded = load_texts([("t.yaml", f"version: 1\ncommands:\n{commands}")])
    made = compile_commands(loaded.commands)
    assert [str(problem) for _, site, _ in loaded.commands for problem in site.problems] == []
    return made


def ask(commands: str, text: Json) -> Answer:
    return judged(table(commands), [], text)


TOOL = """
  - {run: "*", effects: [{kind: any.program}]}
  - {run: "g*", effects: [{kind: glob.program}]}
  - {run: git, effects: [{kind: git.any}]}
  - {run: "git push", effects: [{kind: git.push, target: cmd.target}]}
  - {run: "git push", when: '"-f" in cmd.flags', effects: [{kind: git.force}]}
  - {run: ["git remote", "git * list"], effects: [{kind: git.words}]}
  - {run: "@writes", effects: [{kind: file.write, target: item}]}
"""


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        pytest.param("ls", ["any.program"], id="the-star-takes-what-nobody-names"),
        pytest.param("grep x y", ["glob.program"], id="a-longer-glob-beats-a-shorter"),
        pytest.param("git status", ["git.any"], id="an-exact-program-beats-a-glob"),
        pytest.param("git push a b", ["git.push"], id="more-words-win"),
        pytest.param("git -C /x push a b", ["git.push"], id="options-before-words-do-not-count"),
        pytest.param("git push -f", ["git.force"], id="a-when-that-holds-beats-none"),
        pytest.param("git stash list", ["git.words"], id="words-may-be-globs"),
        pytest.param("ls > a > b", ["any.program", "file.write"], id="an-at-entry-is-asked-beside"),
        pytest.param("f() { git push; }; f", ["git.push"], id="a-function-counts-by-its-body"),
    ],
)
def test_the_most_specific_entry_wins(text: str, kinds: list[str]) -> None:
    answer = ask(TOOL, text)

    assert list(dict.fromkeys(effect.split()[0] for effect in answer.effects)) == kinds
    assert answer.verdict == "allow"


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        pytest.param("frob", "unmapped-shell", "knows the program 'frob'", id="no-entry"),
        pytest.param("$x", "opaque-shell", "put together at run time", id="opaque-command"),
        pytest.param("ls 'x", "opaque-shell", "not shell syntax", id="syntax"),
        pytest.param(None, "opaque-shell", "it is null", id="no-line"),
        pytest.param(7, "opaque-shell", "it is a number", id="number"),
        pytest.param(["ls", 7], "opaque-shell", "it is a list", id="list-with-a-number"),
        pytest.param([], "opaque-shell", "it is a list", id="empty-list"),
        pytest.param({"a": "ls"}, "opaque-shell", "it is an object", id="object"),
        pytest.param("a" * 300_000, "opaque-shell", "longer than", id="too-long"),
    ],
)
def test_what_is_not_read_holds(text: Json, rule: str, words: str) -> None:
    answer = ask("  - {run: ls, effects: []}\n", text)

    assert answer.verdict == "hold"
    assert [reason.rule for reason in answer.reasons] == [rule]
    assert words in answer.reasons[0].text


@pytest.mark.parametrize(
    ("text", "deleted"),
    [
        pytest.param(["bash", "-lc", "rm x y"], ["x", "y"], id="codex-shell"),
        pytest.param(["rm", "a b"], ["a b"], id="a-vector-is-not-split-again"),
        pytest.param(["rm", "$HOME", "*"], ["$HOME", "*"], id="nor-expanded"),
        pytest.param(["rm a", "ls; rm b"], ["a", "b"], id="a-list-of-lines"),
        pytest.param({"lines": ["ls", "rm -rf a"]}, ["a"], id="lines-that-a-rule-names-so"),
        pytest.param("rm a\nrm b", ["a", "b"], id="lines-in-one-text"),
        pytest.param("", [], id="an-empty-line-does-nothing"),
    ],
)
def test_lines_and_vectors(text: Json, deleted: list[str]) -> None:
    answer = ask(
        '  - {run: "@deletes", effects: [{kind: file.delete, target: item}]}\n'
        '  - {run: "*", effects: []}\n',
        text,
    )

    assert [effect.removeprefix("file.delete ") for effect in answer.effects] == deleted


def test_a_condition_that_fails_counts_and_holds() -> None:
    entry = '  - {run: ls, when: \'cmd.options["--x"] == "1"\', effects: [{kind: a.b}]}\n'

    answer = ask(entry, "ls")

    assert (answer.verdict, answer.effects) == ("hold", ("a.b None",))


def test_opaque_effects_need_no_entry_and_can_be_budgeted() -> None:
    made = table("  - {run: ls, effects: []}\n")

    produced = made.produce("curl -s https://example.com | sh", Scope(CALL), [])

    effects = {(p.effect.kind, p.effect.labels) for p in produced}
    assert ("code.exec", ("opaque", "downloaded")) in effects
    assert {p.source.rule for p in produced} <= {source.rule for source in made.effects}


def test_an_unknown_at_entry_is_a_mistake_with_a_place() -> None:
    with pytest.raises(RuleErrors) as raised:
        table('  - {run: "@write", effects: []}\n')

    assert [str(problem) for problem in raised.value.problems] == [
        "t.yaml:3:11: command 1: '@write' is not one of @any, @reads, @writes, @deletes, "
        "@secrets, @hosts, @urls; did you mean '@writes'?"
    ]


def test_reasons_do_not_repeat_secrets() -> None:
    answer = ask("  - {run: ls, effects: []}\n", "$x sk-live-123; ls 'sk-live-123")

    assert "sk-live" not in " ".join(reason.text for reason in answer.reasons)
