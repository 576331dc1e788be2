"""What a line is read into: programs in order, and what rules see of each."""

from __future__ import annotations

import pytest

from proxy.model import Json
from proxy.policy.shell.line import Command
from proxy.policy.shell.reading import read_line
from proxy.policy.shell.variables import COMMAND_VARIABLES, command_variables


def last(text: str) -> Command:
    return read_line(text).commands[-1]


@pytest.mark.parametrize(
    ("text", "programs"),
    [
        pytest.param("a | b && c || d; e & f", "a b c d e f", id="operators"),
        pytest.param("a $(b | c) `d` <(e)", "b c d e a", id="substitutions-come-first"),
        pytest.param("if a; then b; elif c; then d; else e; fi", "a b c d e", id="conditions"),
        pytest.param("while a; do b; done; until c; do d; done", "a b c d", id="loops"),
        pytest.param("for i in x y; do a $i; done", "a a", id="a-short-list-is-followed"),
        pytest.param("case $(a) in x) b;; *) c;; esac", "a b c", id="cases"),
        pytest.param("(a; { b; }); ! c; [[ -f $(d) ]]", "a b c d", id="groups"),
        pytest.param("sudo env A=1 nice -n 5 timeout 9 a", "a", id="wrappers-vanish"),
        pytest.param("ssh h 'a; b'", "ssh a b", id="a-remote-shell-stays-in-sight"),
        pytest.param("find . -exec a {} \\; -exec b {} +", "find a b", id="find-runs-programs"),
        pytest.param("cat <<E | a && b\n$(c)\nE", "c cat a b", id="behind-a-here-document"),
        pytest.param("xargs -0 -n1 -I{} a {} b", "a", id="xargs"),
        pytest.param("python3.11 x.py; pip3 list; nodejs y.js", "python pip node", id="versions"),
        pytest.param("/usr/bin/a; ./b; ../c; /opt/x/d", "a ./b ../c /opt/x/d", id="paths"),
    ],
)
def test_programs(text: str, programs: str) -> None:
    assert " ".join(command.program for command in read_line(text).commands) == programs


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        pytest.param("git -C x push origin main", "words", ["push", "origin", "main"], id="words"),
        pytest.param("git -C x push", "sub", "push", id="sub"),
        pytest.param("rm -rf --one-file-system x", "flags", ["-r", "-f", "--one-file-system"], id="flags"),
        pytest.param("a --x=1 --y", "options", {"--x": "1"}, id="options"),
        pytest.param("curl -XPOST -dx u", "options", {"-X": "POST", "-d": "x"}, id="attached"),
        pytest.param("a | b | c", "piped_from", ["a", "b"], id="piped-from"),
        pytest.param("curl u -T f", "sends_data", True, id="sends"),
        pytest.param("curl u -o f", "sends_data", False, id="fetches"),
        pytest.param("curl https://A.example.com:8/x me@b.example.com", "hosts",
                     ["a.example.com", "b.example.com"], id="hosts"),
        pytest.param("sudo -u bob a", "runs_as", "bob", id="runs-as"),
        pytest.param("sudo a", "runs_as", "root", id="runs-as-root"),
        pytest.param("ssh me@h a", "host", "h", id="host"),
        pytest.param("cd /a/b; cat ../c ./d", "reads", ["/a/c", "/a/b/d"], id="the-folder-is-followed"),
        pytest.param("(cd /a); cat c", "reads", ["c"], id="a-subshell-keeps-its-folder"),
        pytest.param("a < b > c 2>> d &> e", "writes", ["c", "d", "e"], id="redirections"),
        pytest.param("a 2>/dev/null >&2", "writes", [], id="nowhere"),
        pytest.param("cp -t d a b", "writes", ["d"], id="copy-to-folder"),
        pytest.param("psql <<E\nselect 1\nE", "stdin", "select 1\n", id="here-document-as-input"),
        pytest.param("A=1 B=2 a", "env", {"A": "1", "B": "2"}, id="environment"),
        pytest.param("a $x", "known", False, id="unknown-argument"),
        pytest.param("x=1; a $x", "known", True, id="known-variable"),
        pytest.param("sh -c 'sh -c a'", "depth", 2, id="depth"),
        pytest.param("python -c x", "opaque", True, id="opaque"),
    ],
)  # fmt: skip
def test_variables(text: str, name: str, value: Json) -> None:
    assert command_variables(last(text), ())[f"cmd.{name}"] == value


def test_every_declared_variable_is_there() -> None:
    assert set(command_variables(last("ls"), ())) == set(COMMAND_VARIABLES)


def test_what_runs_later_is_told() -> None:
    assert last("f() { ls; }").deferred
    assert not last("ls").deferred


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("r\\\nm -rf /precious", id="a-line-break-inside-a-word"),
        pytest.param("rm$IFS-rf$IFS/precious", id="a-variable-that-the-grammar-cuts"),
        pytest.param('!""rm x', id="a-negation-that-is-a-word"),
        pytest.param("\\ rm x", id="an-escaped-space-before-a-word"),
        pytest.param("y$$ a", id="a-special-parameter-in-a-name"),
        pytest.param("] { @", id="a-space-within-a-word"),
        pytest.param("*a=aa x", id="an-assignment-to-no-name"),
        pytest.param("cc x \n\\}a y &> y y", id="a-word-that-begins-on-the-line-before"),
        pytest.param("a=(aa bb)# rm x", id="a-comment-that-is-none"),
        pytest.param("echo x >& y \n\\\n rm -rf /precious", id="a-redirection-over-two-lines"),
        pytest.param("[:x ] rm", id="a-test-that-is-a-word"),
        pytest.param("sudo ( rm x )", id="a-subshell-as-an-argument"),
        pytest.param("sudo if true; then rm x; fi", id="grammar-words-as-programs"),
        pytest.param("local b=dd; $b x", id="a-local-outside-a-function"),
        pytest.param("readonly a=ls; a=rm; $a x", id="a-value-that-stays"),
        pytest.param("declare -n r=a; a=ls; r=rm; $a x", id="a-variable-by-another-name"),
        pytest.param("for i in 1 2; do IFS=a; done; c='rm x'; $c", id="separators-nobody-knows"),
        pytest.param("f() { f; }; f", id="a-function-without-an-end"),
    ],
)
def test_where_the_grammar_and_a_shell_may_differ_the_line_is_unreadable(text: str) -> None:
    line = read_line(text)

    assert line.why or any(command.opaque for command in line.commands)


def test_a_redirection_may_stand_before_its_command() -> None:
    assert last("2>&1 >& y rm -rf /precious").facts.deletes == ("/precious",)
