"""The documentation is held against the code: links, commands and options, examples, log fields."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from proxy.cli import cli
from proxy.policy.ruleset import RuleSet

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    """A link to a file in the repository finds one."""
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def _commands() -> list[tuple[str, click.Command]]:
    made: list[tuple[str, click.Command]] = []
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        made.append((name, command))
        if isinstance(command, click.Group):
            made += [(f"{name} {sub}", c) for sub, c in command.commands.items()]
    return made


@pytest.mark.parametrize(("name", "command"), _commands(), ids=[n for n, _ in _commands()])
def test_every_command_and_option_is_on_the_page(name: str, command: click.Command) -> None:
    """docs/cli.md has a section a command, and names every option in it."""
    text = (ROOT / "docs" / "cli.md").read_text()
    section = text.split(f"## checkrein {name.split()[0]}\n", 1)[1].split("\n## ", 1)[0]
    assert name.split()[-1] in text
    options = [o for p in command.params if isinstance(p, click.Option) for o in p.opts[:1]]
    assert [o for o in options if f"{o}" not in section and o not in ("--help",)] == []
    assert command.help


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_rule_examples_load(page: Path) -> None:
    """A YAML example that is a whole rule file is one."""
    for example in re.findall(r"```yaml\n(version: 1\n.*?)```", page.read_text(), re.DOTALL):
        RuleSet.load_text(page.name, example)


def test_every_field_a_record_has_is_in_the_table() -> None:
    """docs/log.md's table names each key that a record builder writes."""
    source = (ROOT / "proxy" / "pipeline" / "records.py").read_text()
    written = set(re.findall(r'^        "(\w+)":', source, re.MULTILINE))
    table = (ROOT / "docs" / "log.md").read_text()
    assert written, "no fields found: has records.py another form?"
    assert sorted(name for name in written if f"`{name}`" not in table) == []
