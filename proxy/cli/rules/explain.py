"""`checkrein rules explain`: why a call is decided as it is, and what would have allowed it.

What belongs here: which call is meant, and how the answer is printed. What there is to tell is `proxy/explain`'s.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.admin import echo_json, plain
from proxy.cli.options import RulePath
from proxy.errors import ConfigurationError
from proxy.settings import packs_directory

if TYPE_CHECKING:
    from proxy.explain.given import Given
    from proxy.explain.listening import ListeningRules
    from proxy.explain.scene import Scene
    from proxy.model import Json
    from proxy.rehearsal.casefile import CaseFile

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_STYLES: dict[str, dict[str, str | bool]] = {
    "allow": {"fg": "green", "bold": True},
    "hold": {"fg": "yellow", "bold": True},
    "block": {"fg": "red", "bold": True},
    "bad": {"fg": "red"},
    "bold": {"bold": True},
    "dim": {"dim": True},
}


@click.command("explain")
@click.argument("call", required=False)
@click.option(
    "--rules",
    "rules",
    multiple=True,
    type=RulePath(),
    help="A rule file, a folder or a pack, several times (default: the cases file's, else the pack `default`).",
)
@click.option("--cases", type=_FILE, help="A cases file: the call is made in one of its cases.")
@click.option("--case", "case_name", help="Which case (default: the file's only one).")
@click.option("--session-file", type=_FILE, help="Recorded sessions, as `rules replay` reads them.")
@click.option("--session", help="Which session of that file (default: its only one).")
@click.option(
    "--step",
    type=click.IntRange(min=1),
    help="Which step of the case, or which call of the session; with CALL, after which it is made.",
)
@click.option("--log", type=_FILE, help="A decision log: what came before the call is replayed.")
@click.option("--seq", type=click.IntRange(min=1), help="Which record of the log.")
@click.option("--hold", help="Which hold of the log; an id may be shortened.")
@click.option("--user", "said", multiple=True, help="What the user has said before CALL.")
@click.option(
    "--all",
    "in_full",
    is_flag=True,
    help="Every gate with its values, and the names of the others.",
)
@click.option("--json", "as_json", is_flag=True, help="One object.")
def command(
    *,
    call: str | None,
    rules: tuple[Path, ...],
    cases: Path | None,
    case_name: str | None,
    session_file: Path | None,
    session: str | None,
    step: int | None,
    log: Path | None,
    seq: int | None,
    hold: str | None,
    said: tuple[str, ...],
    in_full: bool,
    as_json: bool,
) -> None:
    """Explain why CALL is allowed, held or blocked, and what would have allowed it.

    CALL is JSON, `{"name": …, "arguments": {…}}` as model APIs write it, or `{"http": {"method", "host", "path"}, "body": …}`;
    `@FILE` reads a file, `-` standard input. A line of a decision log is a call too (`checkrein tail --json`).

    Exit code 0 whatever the verdict; 2 when there is no such call, or the rules do not load.
    """
    from proxy.explain.explaining import explain
    from proxy.explain.objects import as_object
    from proxy.explain.telling import Telling, no_style

    asked = _Asked(call, rules, said, cases, case_name, session_file, session, step, log, seq, hold)
    asked.check()
    scene = asked.scene()
    with scene.rehearsal:
        told = explain(scene, tuple(asked.texts.items()))
    if as_json:
        echo_json(as_object(told))
        return
    style = _styled if _takes_colour() else no_style
    for line in Telling(plain, style, in_full).lines(told):
        click.echo(line)


@dataclass(slots=True)
class _Asked:
    """What was given on the command line."""

    call: str | None
    rules: Sequence[Path]
    said: Sequence[str]
    cases: Path | None
    case_name: str | None
    session_file: Path | None
    session: str | None
    step: int | None
    log: Path | None
    seq: int | None
    hold: str | None
    texts: dict[str, str] = field(default_factory=dict)  # of the rule files that were read

    def check(self) -> None:
        """Raises ConfigurationError: options that do not go together, or no call."""
        given = [n for n, v in self._places().items() if v is not None]
        if len(given) > 1:
            raise ConfigurationError(f"{' and '.join(given)} do not go together: name one")
        for option, value, needs, there in (
            ("--case", self.case_name, "--cases FILE", self.cases),
            ("--session", self.session, "--session-file FILE", self.session_file),
            ("--seq", self.seq, "--log FILE", self.log),
            ("--hold", self.hold, "--log FILE", self.log),
            ("--step", self.step, "--cases or --session-file", self.cases or self.session_file),
        ):
            if value is not None and there is None:
                raise ConfigurationError(f"{option} needs {needs}")
        if self.log is not None and self.call is None and self.seq is None and self.hold is None:
            raise ConfigurationError("which call of the log? name it with --seq N or --hold ID")
        if self.call is not None and (self.seq is not None or self.hold is not None):
            raise ConfigurationError("a call of the log, or CALL: name one of the two")
        if self.call is None and not given:
            example = '\'{"name": "refund_order", "arguments": {"amount": 120}}\''
            raise ConfigurationError(f"no call is named; give one, such as {example}")

    def _places(self) -> Mapping[str, Path | None]:
        return {"--cases": self.cases, "--session-file": self.session_file, "--log": self.log}

    def scene(self) -> Scene:
        """Brings the call to where it is judged."""
        from proxy.explain.given import Given
        from proxy.explain.scene import scene_of_call
        from proxy.explain.scene_of_case import scene_of_case
        from proxy.explain.scene_of_session import scene_of_session

        given = self._given()
        if self.cases is not None:
            from proxy.rehearsal.casefile import read_case_file

            file = read_case_file(self.cases)
            rules = self._loaded(self.rules or file.rules)
            name = self._case_name(file)
            return scene_of_case(rules, file, name, self.step, _one(given))
        if self.session_file is not None:
            rules = self._loaded(self.rules)
            return scene_of_session(rules, self.session_file, self.session, self.step, _one(given))
        if self.log is not None or isinstance(given, list):
            return self._in_log(given)
        return scene_of_call(self._loaded(self.rules), given or Given(), said=self.said)

    def _given(self) -> Given | list[dict[str, Json]] | None:
        from proxy.explain.given import read_given

        if self.call is None:
            return None
        if self.call == "-":
            return read_given(sys.stdin.read(), "standard input")
        if self.call.startswith("@"):
            path = Path(self.call[1:])
            try:
                return read_given(path.read_text(encoding="utf-8"), str(path))
            except (OSError, UnicodeDecodeError) as error:
                what = getattr(error, "strerror", None) or "not UTF-8"
                raise ConfigurationError(f"{path}: cannot be read: {what}") from error
        return read_given(self.call, "CALL")

    def _case_name(self, file: CaseFile) -> str:
        if self.case_name is not None:
            return self.case_name
        if len(file.cases) == 1:
            return file.cases[0].name
        known = "; ".join(f"'{case.name}'" for case in file.cases[:5])
        raise ConfigurationError(f"which case? name it with --case; there is {known}")

    def _in_log(self, given: Given | list[dict[str, Json]] | None) -> Scene:
        from proxy.explain.given import Given, last_decision
        from proxy.explain.lines import read_lines
        from proxy.explain.scene_of_log import find_in_log, scene_of_log

        if isinstance(given, Given):
            raise ConfigurationError(
                "--log replays what came before one of its records; CALL is none"
            )
        rules = self._loaded(self.rules)
        lines = [(f"record {record['seq']}", record) for record in given or ()]
        path, seq = self.log, self.seq
        if given is not None:
            seq = int(given[last_decision(given, "the records")]["seq"])
        if path is None:
            return scene_of_log(rules, lambda: lines, seq or 0)
        if seq is None or given is None:
            seq = find_in_log(path, seq=seq, hold=self.hold)
        return scene_of_log(rules, lambda: read_lines(path), seq)

    def _loaded(self, paths: Sequence[Path]) -> ListeningRules:
        from proxy.explain.listening import ListeningRules
        from proxy.policy.load import load_paths

        def read(path: Path) -> bytes:
            data = path.read_bytes()
            self.texts[str(path)] = data.decode("utf-8", "replace")
            return data

        named = list(paths) or [packs_directory() / "default.yaml"]
        return ListeningRules(load_paths(named, read))


def _one(given: Given | list[dict[str, Json]] | None) -> Given | None:
    if isinstance(given, list):
        raise ConfigurationError("a record of a decision log goes with --log, not with this option")
    return given


def _styled(text: str, what: str) -> str:
    return click.style(text, **_STYLES.get(what, {}))  # type: ignore[arg-type]


def _takes_colour() -> bool:
    """Whether a person looks at a terminal that shows colours, and wants them (https://no-color.org)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()
