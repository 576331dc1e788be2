"""`rules init`: what it writes is checked and tested by the commands that it names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from proxy.cli import cli
from proxy.cli.options import RulePath
from proxy.policy.load import load_paths
from proxy.policy.ruleset import RuleSet
from proxy.settings import packs_directory

PACKS = sorted(
    p.stem for p in packs_directory().glob("*.yaml") if not p.name.endswith(".cases.yaml")
)
PACKS = [name for name in PACKS if name not in ("prices", "lexicon")]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHECKREIN_PACKS", str(tmp_path / "own"))


def rules(*args: str) -> Result:
    return CliRunner().invoke(cli, ["rules", *args])


def test_without_a_pack_they_are_listed_with_what_they_are() -> None:
    listed = rules("init").output.splitlines()
    assert [line.split()[0] for line in listed] == PACKS
    assert "A support desk's agent" in next(line for line in listed if line.startswith("support"))


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("how", [(), ("--extend",)], ids=["copied", "extended"])
def test_every_pack_is_in_order_and_passes_its_cases_where_it_was_written(
    pack: str, how: tuple[str, ...]
) -> None:
    made = rules("init", pack, *how)
    assert made.exit_code == 0, made.output
    commands = [line for line in made.output.splitlines() if line.startswith("checkrein rules")]
    assert commands == [
        f"checkrein rules check rules/{pack}.yaml",
        f"checkrein rules test rules/{pack}.yaml",
    ]
    for command in commands:
        done = rules(*command.split()[2:])
        assert done.exit_code == 0, done.output


def test_a_copy_is_the_pack_and_an_extending_file_follows_it() -> None:
    rules("init", "support-desk")
    copied = Path("rules/support-desk.yaml")
    assert copied.read_text() == (packs_directory() / "support-desk.yaml").read_text()
    rules("init", "ci-cd", "--extend")
    assert load_paths([Path("rules/ci-cd.yaml")]).files[1] == str(packs_directory() / "ci-cd.yaml")


def test_the_values_in_the_comments_take_effect_when_the_hash_goes() -> None:
    rules("init", "support-desk", "--extend", "--name", "desk")
    path = Path("rules/desk.yaml")
    text = (
        path.read_text()
        .replace("# vars:", "vars:")
        .replace("#   refund_limit: 100", "  refund_limit: 250")
    )
    path.write_text(text)
    loaded = load_paths([path])
    assert {b.name: int(b.limit) for b in loaded.budgets}["refunds"] == 250
    assert RuleSet(loaded).warnings == ()


def test_ones_own_pack_goes_before_ours() -> None:
    Path("own").mkdir()
    Path("own/support-desk.yaml").write_text("# Ours.\nversion: 1\n")
    rules("init", "support-desk")
    assert Path("rules/support-desk.yaml").read_text() == "# Ours.\nversion: 1\n"


def _said(*args: str) -> tuple[int, str]:
    """Exit codes of configuration errors are the program's, so it is run as one."""
    command = [sys.executable, "-m", "proxy", "rules", *args]
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.returncode, done.stderr


def test_what_is_there_is_not_written_over() -> None:
    rules("init", "sql")
    Path("rules/sql.yaml").write_text("mine")
    code, said = _said("init", "sql")
    assert (code, "rules/sql.yaml is there already" in said) == (2, True)
    assert Path("rules/sql.yaml").read_text() == "mine"
    assert rules("init", "sql", "--force").exit_code == 0
    assert Path("rules/sql.yaml").read_text() != "mine"


def test_a_name_that_no_pack_has() -> None:
    code, said = _said("init", "suport-desk")
    assert (code, "did you mean 'support-desk'?" in said) == (2, True)


def test_rules_options_take_a_packs_name() -> None:
    """A path goes before a pack of the same name; what is neither is told with the nearest name."""
    taken = RulePath()
    assert taken.convert("support-desk", None, None) == packs_directory() / "support-desk.yaml"
    Path("support-desk").mkdir()
    assert taken.convert("support-desk", None, None) == Path("support-desk")
    with pytest.raises(
        click.BadParameter,
        match="no such file or folder, and there is no pack 'sport-desk'; did you",
    ):
        taken.convert("sport-desk", None, None)
