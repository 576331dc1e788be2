"""Whatever the text is, reading never raises; whatever the disguise, a bad command is found or opaque."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.policy.shell.line import Line
from proxy.policy.shell.reading import read_line, read_words

PIECES = st.sampled_from(
    [
        *"$(){}[]<>|&;'\"`\\#=!*?~",
        *(
            "\n",
            " ",
            "\t",
            "$(",
            "${",
            "<<EOF\n",
            "EOF\n",
            "<<<",
            "&&",
            "||",
            "$((",
            "))",
            "[[",
            "]]",
        ),
        *(
            "rm",
            "-rf",
            "/",
            "a=b",
            "$a",
            "if",
            "then",
            "fi",
            "for",
            "in",
            "do",
            "done",
            "case",
            "esac",
        ),
        *("sh -c", "eval", "sudo", "xargs", "curl", "f()", "\x00", "\ud800", "\u2028", "é"),
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join))
@example("$(" * 2_000)
@example("a=$a" + "$a" * 500)
@example("x() { x; }; x")
@settings(max_examples=400, deadline=None)
def test_no_text_raises(text: str) -> None:
    line = read_line(text)

    assert isinstance(line, Line)


@given(st.lists(st.text(max_size=20), max_size=8))
@settings(deadline=None)
def test_no_vector_raises(words: list[str]) -> None:
    assert isinstance(read_words(words), Line)


def single(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def double(text: str) -> str:
    return '"' + "".join("\\" + c if c in '\\"$`' else c for c in text) + '"'


WRAPPERS = st.sampled_from(
    [
        lambda c: f"sudo {c}",
        lambda c: f"env A=1 {c}",
        lambda c: f"nohup timeout -s KILL 5 {c} &",
        lambda c: f"ls; {c}",
        lambda c: f"true && {c} || false",
        lambda c: f"if true; then {c}; fi",
        lambda c: f"for i in 1 2; do {c}; done",
        lambda c: f"( {c} )",
        lambda c: f"{{ {c}; }}",
        lambda c: f"f() {{ {c}; }}; f",
        lambda c: f"echo $( {c} )",
        lambda c: f'echo "x $( {c} ) y"',
        lambda c: f"cat <( {c} )",
        lambda c: f"sh -c {single(c)}",
        lambda c: f"bash -lc {double(c)}",
        lambda c: f"eval {single(c)}",
        lambda c: f"ssh host {single(c)}",
        lambda c: f"docker exec web sh -c {single(c)}",
        lambda c: f"kubectl exec pod -- sh -c {double(c)}",
        lambda c: f"echo {single(c)} | bash",
        lambda c: f"bash <<< {single(c)}",
        lambda c: f'x={single(c)}; eval "$x"',
        lambda c: f"trap {single(c)} EXIT",
        lambda c: f"watch {single(c)}",
        lambda c: f"case a in *) {c};; esac",
        lambda c: f"while true; do {c}; done < /dev/null",
        lambda c: f"! {c} 2>/dev/null",
        lambda c: f"cat x | {c}",
        lambda c: f"time {c}",
        lambda c: f"coproc {c}",
        lambda c: f"find . -exec sh -c {single(c)} \\;",
        lambda c: f"echo {single(c)} > x.sh; sh x.sh",
        lambda c: f"su root -c {single(c)}",
        lambda c: f"git -c alias.x={single('!' + c)} x",
    ]
)
NAMES = st.sampled_from(
    ["rm", "r''m", '"rm"', "\\rm", "r\\m", "$'\\x72m'", "/bin/rm", "/usr/bin/../bin/rm", "$(echo rm)",
     "`printf rm`", "r${nothing_is_set}m", "command rm", "r$@m"]
)  # fmt: skip


def found(line: Line) -> bool:
    """Whether the deletion is seen, or something is said to be unreadable."""
    return bool(line.why) or any(
        command.opaque or "/precious" in command.facts.deletes for command in line.commands
    )


@given(NAMES, st.lists(WRAPPERS, max_size=4))
@settings(max_examples=500, deadline=None)
def test_a_bad_command_is_found_under_every_wrapping(name: str, wrappers: list) -> None:  # type: ignore[type-arg]  # functions of text
    text = f"{name} -rf /precious"
    for wrapper in wrappers:
        text = wrapper(text)

    line = read_line(text)

    assert found(line), text


SLOW = {
    "open substitutions": "$(" * 1_900,
    "open brackets": "(" * 60_000,
    "less-than signs": "<" * 3_900,
    "here-documents": "cat <<EOF " * 190,
    "open arrays": "a=(" * 390,
    "many words": "echo " + "a " * 90_000,
    "doubling variable": "a=0123456789;" + "a=$a$a;" * 40 + "echo $a",
    "loops in loops": "for a in {1..16}; do " * 6 + "x=1;" + "done;" * 6,
    "many stages": "a|" * 20_000 + "b",
    "braces": "echo " + "{a,b}" * 30,
    "endless range": "echo {1..99999999}",
    "sed with escapes": "sed 's/" + "\\a" * 3_000 + "' x",
    "awk": "awk '" + "print x " * 5_000 + "' x",
    "long path": "cat " + "/a." * 60_000,
    "shells in shells": "sh -c 'sh -c " * 400 + "x",
    "one long word": "echo " + "a" * 190_000,
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW.keys())
def test_work_is_bounded(text: str) -> None:
    """What costs a parser most is refused or read within a moment."""
    start = time.process_time()

    read_line(text)

    assert time.process_time() - start < 5
