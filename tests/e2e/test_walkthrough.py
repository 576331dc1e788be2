"""Pages done as they say: every command typed, every line that they show compared."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.walkthrough import Shell, Typed, Written, edit, matches, steps_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "rules-walkthrough.md",
    "rules-explaining.md",
    "rules-diff.md",
    "rules-suggesting.md",
    "migrating.md",
)
PORTS = ("8080", "9000")
"""What the page has its reader listen on: here free ones, so that runs do not meet."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", PAGES)
def test_it_is_as_the_page_says(name: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    for port in PORTS:
        page = page.replace(port, _free_port())
    steps = list(steps_of(page))
    assert any(isinstance(step, Typed) for step in steps)
    with (
        TemporaryDirectory(prefix="cr") as runtime,
        Shell(tmp_path, _environment(tmp_path, runtime)) as shell,
    ):
        for step in steps:
            if isinstance(step, Written):
                _write(tmp_path / step.path, step)
                continue
            as_shown, printed = shell.type(step)
            shown = "\n".join(step.shown)
            assert as_shown, f"$ {step.command}\n{shown}\n--- printed ---\n" + "\n".join(printed)


def _write(path: Path, written: Written) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = written.text
    path.write_text(edit(path.read_text(), text) if written.edited else text)


def _environment(folder: Path, runtime: str) -> dict[str, str]:
    """A reader's own machine: a home of their own, nothing set, checkrein and python on the path.

    `runtime` is a folder with a short name: a socket's path has a hundred letters at most.
    """
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR")}
    bin_folder = str(Path(sys.executable).parent)
    return {
        **kept,
        "PATH": f"{bin_folder}:{kept.get('PATH', os.defpath)}",
        "HOME": str(folder / "home"),
        "XDG_RUNTIME_DIR": runtime,
        "COLUMNS": "200",
        "LC_ALL": "C.UTF-8",
    }


def _free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("shown", "printed", "as_shown"),
    [
        (("a",), ["a"], True),
        (("a",), ["b"], False),
        (("a",), ["a", "b"], False),
        (("a … c",), ["a b c"], True),
        (("…",), [], True),
        (("a", "…", "d"), ["a", "b", "c", "d"], True),
        (("a", "…", "d"), ["a", "b"], False),
        ((), ["a"], False),
    ],
)
def test_what_is_shown_is_compared(
    shown: tuple[str, ...], printed: list[str], as_shown: bool
) -> None:
    """The test of the page can fail."""
    assert matches(shown, printed) is as_shown
