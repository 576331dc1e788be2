"""docs/wire.md is held against the code: every protocol has its rows, and every test named is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from proxy.wire.detect import PROTOCOLS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
COLUMNS = ("api", "protocol", "form", "seen", "held", "refused", "restored")
# Judged elsewhere than in a codec of `PROTOCOLS`.
OTHERS = {"openai.realtime", "mcp", "http"}


def _rows() -> list[dict[str, str]]:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells[2:]]


ROWS = _rows()


@cache
def _tests_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    made = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, made))


def test_every_protocol_has_rows() -> None:
    """No codec is left out, and no row is about one that is not there."""
    assert {row["protocol"].strip("`") for row in ROWS} == {*PROTOCOLS, *OTHERS}


def test_every_codec_streams_and_does_not() -> None:
    """Each model API has a row for its JSON and one for a stream."""
    for name in PROTOCOLS:
        forms = {row["form"].split(" ")[0] for row in ROWS if row["protocol"] == f"`{name}`"}
        assert {"JSON", "stream"} <= forms, name


@pytest.mark.parametrize("column", COLUMNS[3:])
@pytest.mark.parametrize("row", ROWS, ids=[f"{r['protocol']}-{r['form']}" for r in ROWS])
def test_every_cell_names_a_test(row: dict[str, str], column: str) -> None:
    """A cell is a test that exists, or says why there is none."""
    cell = row[column]
    found = re.fullmatch(r"`([\w/]+\.py)::(test_\w+)`", cell)
    if found is None:
        assert re.fullmatch(r"— \w.+", cell), f"{row['api']}: {column}: {cell!r}"
        return
    file = ROOT / "tests" / found[1]
    assert file.exists(), cell
    assert found[2] in _tests_in(file), cell
