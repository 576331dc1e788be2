"""What an operator reads of an agent's text: one line, no control characters, nothing that is markup."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.cli.admin import plain
from proxy.cli.tail import line_of


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("\x1b[2K\x1b[1Apay 1 EUR", id="escape-sequence"),
        pytest.param("a\nhold approved", id="newline"),
        pytest.param("a\rb", id="carriage-return"),
        pytest.param("\u202e001", id="right-to-left-override"),
        pytest.param("a\u2028b", id="line-separator"),
        pytest.param("\ud800", id="lone-surrogate"),
        pytest.param("\x9b2J", id="c1-control"),
    ],
)
def test_hostile_text_is_escaped(hostile: str) -> None:
    """Neither alone nor in a line of `tail`, wherever it stands, does it reach the terminal."""
    record: dict[str, Any] = {
        "type": "decision",
        "time": "2026-11-24T12:00:00.000000Z",
        "session": hostile,
        "verdict": "hold",
        "call": {"name": hostile, "args": {hostile: hostile}},
        "effects": [{"kind": "k", "amount": None, "unit": None, "target": hostile}],
        "reasons": [{"rule": "r", "text": hostile}],
        "error": hostile,
    }
    signal = {
        "type": "signal",
        "on": hostile,
        "server": hostile,
        "tool": hostile,
        "event": hostile,
        "changes": [{"field": hostile, "before": hostile, "after": hostile}],
    }
    for shown in (plain(hostile), line_of(record).plain, line_of(signal).plain):
        assert shown.isprintable()
        assert hostile not in shown


def test_markup_stays_text() -> None:
    """A style in square brackets is shown, not obeyed."""
    line = line_of({"type": "hold", "session": "[red]x[/red]", "event": "approved"})
    assert "[red]x[/red]" in line.plain
    assert "red" not in [str(span.style) for span in line.spans]


def test_a_record_without_arguments_shows_none() -> None:
    """A hold's record has no arguments; `f()` would say that it was called with none."""
    line = line_of({"type": "hold", "session": "s", "event": "approved", "call": {"name": "f"}})
    assert "f(" not in line.plain


def test_a_signal_shows_what_changed() -> None:
    """Whose tool, and each field as it was and is; a field that was not there says so."""
    changes = [
        {"field": "description", "before": "Pays back.", "after": "Pays back. " + "x" * 80},
        {"field": "annotations", "before": None, "after": "{}"},
    ]
    line = line_of(
        {
            "type": "signal",
            "on": "tools-changed",
            "server": "billing",
            "tool": "refund_order",
            "event": "changed",
            "changes": changes,
        }
    ).plain
    for shown in (
        "billing refund_order",
        "changed",
        "description: 'Pays back.' →",
        "annotations: —",
    ):
        assert shown in line
    assert "x" * 80 not in line
