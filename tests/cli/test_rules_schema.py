"""`checkrein rules schema`: prints what rules/ has, and writes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from proxy.cli import cli
from proxy.settings import packs_directory

SHIPPED = packs_directory() / "checkrein.schema.json"


def test_it_prints_the_schema_that_comes_with_the_packs() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "proxy", "rules", "schema"], capture_output=True, check=True
    )
    assert made.stdout.decode("utf-8") == SHIPPED.read_text(encoding="utf-8")
    assert made.stderr == b""


def test_it_offers_the_packs_and_the_kinds_that_are_priced() -> None:
    defined = json.loads(SHIPPED.read_text(encoding="utf-8"))["definitions"]
    packs = [offer["label"] for offer in defined["pack_name"]["defaultSnippets"]]
    assert {"support-desk", "default"} <= set(packs)
    assert "prices" not in packs
    kinds = [offer["label"] for offer in defined["kind"]["defaultSnippets"]]
    assert {"money.refund", "data.read.secret"} <= set(kinds)
    assert not [kind for kind in kinds if "*" in kind]


def test_write_puts_it_in_a_file(tmp_path: Path) -> None:
    target = tmp_path / "checkrein.schema.json"
    made = CliRunner().invoke(cli, ["rules", "schema", "--write", str(target)])
    assert (made.exit_code, made.stdout, made.stderr) == (0, "", f"wrote {target}\n")
    assert target.read_text(encoding="utf-8") == SHIPPED.read_text(encoding="utf-8")


def test_cases_is_the_schema_of_cases_files() -> None:
    made = CliRunner().invoke(cli, ["rules", "schema", "--cases"])
    shipped = SHIPPED.with_name("checkrein-cases.schema.json")
    assert made.stdout == shipped.read_text(encoding="utf-8")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    target = tmp_path / "none" / "checkrein.schema.json"
    made = CliRunner().invoke(cli, ["rules", "schema", "--write", str(target)])
    assert made.exit_code != 0
    assert "No such file or directory" in str(made.exception or made.output)
