"""Lines made at random, run by bash where no program can be found, against what was read of them.

Whatever bash looks for must be among the programs that were read, or the line must be unreadable.
Nothing is run but builtins: PATH names no folder, and the handler of unknown commands writes down
what was looked for.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from proxy.policy.shell.reading import read_line

VARIABLES = ["a", "b", "c"]
NAMES = ["aa", "bb", "cc", "dd", "ee"]
HANDLER = '() { builtin printf "%s\\n" "$1" >> "$LOOKED_FOR"; }'
LINES_EACH = 60


class Writer:
    """Writes lines whose variables matter: set, unset, split, in branches, loops and functions."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret hangs on it

    def one(self, of: list[str]) -> str:
        return self.random.choice(of)

    def word(self) -> str:
        name, variable = self.one(NAMES), self.one(VARIABLES)
        return self.one(
            [
                *(name, name, f"{name[0]}''{name[1]}", f"$'{name}'", f"$(echo {name})"),
                *(f"${variable}", f'"${variable}"', f"${{{variable}}}", f"${{{variable}:-{name}}}"),
                *(f"{{{name},{self.one(NAMES)}}}", f"${{{variable}:0:1}}", f"${{{variable}^^}}"),
                f"${variable}${self.one(VARIABLES)}",
            ]
        )

    def assignment(self) -> str:
        name, variable = self.one(NAMES), self.one(VARIABLES)
        values = [name, f'"{name} {self.one(NAMES)}"', f"${variable}", "", f"$(echo {name})"]
        return f"{self.one(VARIABLES)}={self.one(values)}"

    def command(self, depth: int) -> str:
        if depth <= 0:
            return f"{self.word()} x"
        word, variable, assignment = self.word(), self.one(VARIABLES), self.assignment()
        one, two = self.sequence(depth - 1), self.sequence(depth - 1)
        return self.one(
            [
                *(assignment, assignment, assignment, f"{word} {self.word()}", f"{word} x"),
                f"if {self.one(['true', 'false'])}; then {one}; else {two}; fi",
                f"for {variable} in {word} {self.word()}; do {one}; done",
                f"case {word} in {self.one(NAMES)}) {one};; *) {two};; esac",
                f"i=0; while [ $i -lt 2 ]; do i=$((i+1)); {one}; done",
                *(f"( {one} )", f"{{ {one}; }}", f"f() {{ {one}; }}", f"f {word}"),
                *(f"{one} && {two}", f"{one} || {two}", f"{one} | {two}"),
                *(f"eval '{assignment}'", f"eval {word}", f"unset {variable}"),
                f'read {variable} <<< "{self.one(NAMES)} {self.one(NAMES)}"',
                f"printf -v {variable} {self.one(NAMES)}",
                f"IFS={self.one([',', 'a', 'b'])}",
                f"{self.one(['export', 'declare', 'local', 'readonly'])} {assignment}",
                *(f"set -- {word} {self.word()}", '"$@"', "$1 x", f"{variable}+={self.one(NAMES)}"),
            ]
        )

    def sequence(self, depth: int) -> str:
        return "; ".join(self.command(depth) for _ in range(self.random.randint(1, 2)))

    def line(self) -> str:
        depth = self.random.randint(0, 2)
        return "; ".join(self.command(depth) for _ in range(self.random.randint(1, 5)))


def looked_for(line: str, folder: Path) -> set[str]:
    """Returns the programs that bash looks for when it runs a line."""
    log = folder / "looked-for"
    log.write_text("")
    environment = {
        "PATH": "/nonexistent",
        "LOOKED_FOR": str(log),
        "FUNCNEST": "20",
        "BASH_FUNC_command_not_found_handle%%": HANDLER,
    }
    subprocess.run(
        ["/bin/bash", "-c", line],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    return {name for name in log.read_text(errors="replace").split("\n") if name}


@pytest.mark.parametrize("seed", range(4))
def test_what_bash_looks_for_was_read(seed: int, tmp_path: Path) -> None:
    writer = Writer(seed)
    for _ in range(LINES_EACH):
        text = writer.line()
        line = read_line(text)
        if line.why or any(command.opaque for command in line.commands):
            continue
        programs = {command.program for command in line.commands}

        missed = looked_for(text, tmp_path) - programs - {""}

        assert not missed, text


def test_the_comparison_sees_something(tmp_path: Path) -> None:
    """So that a bash without the handler does not pass for agreement."""
    assert os.access("/bin/bash", os.X_OK)
    assert looked_for("aa; x=bb; $x", tmp_path) == {"aa", "bb"}
