"""Every pack's cases file passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.rehearsal.casefile import ENDING
from proxy.rehearsal.telling import exit_code, file_lines
from proxy.rehearsal.trying import try_files

RULES = Path(__file__).resolve().parents[2] / "rules"
PACKS = [path for path in sorted(RULES.glob("*.yaml")) if not path.name.endswith(ENDING)]


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.stem)
def test_a_packs_cases_pass(pack: Path) -> None:
    beside = pack.with_name(pack.stem + ENDING)
    done = list(try_files([beside] if beside.exists() else []))
    told = [line for file in done for line in file_lines(file, verbose=False)]
    assert exit_code(done) == 0, "\n".join(told)
