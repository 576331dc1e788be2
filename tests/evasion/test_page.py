"""Every known limit is on the page, with the test that shows it, and none that has been mended."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "threat-model.md").read_text()


def test_known_limits_and_page_agree() -> None:
    shown = {
        name
        for file in HERE.glob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_known_limit_\w+)", file.read_text(), re.M)
    }
    assert set(re.findall(r"`(test_known_limit_\w+)`", PAGE)) == shown


def test_every_file_is_on_the_page() -> None:
    files = {file.name for file in HERE.glob("test_*.py")} - {Path(__file__).name}
    assert {name for name in files if f"`{name}`" not in PAGE} == set()
