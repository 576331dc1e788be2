"""The documentation is held against the code: links, commands and options, examples, log fields."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest

from proxy.cli import cli
from proxy.ledger.store import UndoRow
from proxy.model import (
    BudgetState,
    Call,
    Effect,
    Entry,
    EntryState,
    Grant,
    GrantKind,
    Hold,
    HoldState,
    Identity,
    Reason,
    Side,
    Trust,
    Verdict,
)
from proxy.people.people import read_people
from proxy.pipeline import records
from proxy.pipeline.decision import Decision
from proxy.policy.ruleset import RuleSet
from proxy.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CLI_PAGE = (ROOT / "docs" / "cli.md").read_text()
LOG_PAGE = (ROOT / "docs" / "log.md").read_text()

WHO = Identity("s", "a", Trust.CLAIMED, Trust.API_KEY)
EFFECT = Effect("money.refund", amount=Decimal(1), unit="EUR", target="t")
BUDGET = BudgetState("b", "session:s", Decimal(0), Decimal(1), Decimal(2), Verdict.HOLD)
CALL = Call("c", "f", {}, "openai.chat", response_id="r", namespace="n", fault="no")
REASON = Reason("b", "why", Verdict.HOLD)
HOLD = Hold(
    "h", HoldState.PENDING, "s", "a", "f", "0", "openai.chat", Side.MODEL, "c", {}, (), (), (), "0", 0, 1
)  # fmt: skip
GRANT = Grant("g", GrantKind.TOP_UP, "session:s", "ops", 0, 1, "h")
ENTRY = Entry("e", "s", "a", "k", "c", "f", "0", Side.MODEL, EFFECT, EntryState.RESERVED, 0, 1)
DECISION = Decision(Verdict.HOLD, CALL, (REASON,), (BUDGET,), HOLD)

WRITTEN: dict[str, dict[str, Any]] = {
    "decision": records.decision_record(
        DECISION, WHO, [EFFECT], {}, rules_digest="0", elapsed_us=1
    ),
    "settlement": records.settlement_record(ENTRY, "result"),
    "hold": records.hold_record(HOLD, "approved", [BUDGET]),
    "grant": records.grant_record(GRANT, "granted", "ops"),
    "undo": records.undo_record(
        UndoRow("k", "s", "a", "make", "http", 0, {"way": "http"}), "done", "ops", 200, None
    ),
    "session": records.session_record(WHO, "127.0.0.1"),
    "signal": records.signal_record(WHO, "loop", text="text", fields={"count": 3}),
    "error": records.error_record(WHO, "exchange", "text"),
    "tools": records.tools_record(WHO, side=Side.MCP, provider="mcp", server="shop", tools=[]),
    "rules": records.rules_record(RuleSet.load_text("r.yaml", "version: 1\n"), "loaded"),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    """Relative links, and the tests and scripts that are named, lead to files."""
    text = page.read_text()
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    text = re.sub(
        r"```console\n.*?```", "", text, flags=re.DOTALL
    )  # typed by tests/e2e/test_walkthrough.py
    text = re.sub(
        r"`?\brules/(desk|imported-[a-z-]+)\.[\w.]+", "", text
    )  # a reader's own, made on the page
    named = re.findall(r"\b((?:tests|scripts|rules)/[\w/-]+(?:\.\w+)?)", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def _commands() -> list[tuple[str, click.Command]]:
    made: list[tuple[str, click.Command]] = []
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        made.append((name, command))
        if isinstance(command, click.Group):
            for sub in command.list_commands(context):
                inner = command.get_command(context, sub)
                assert inner is not None
                made.append((f"{name} {sub}", inner))
    return made


@pytest.mark.parametrize(("name", "command"), _commands(), ids=[n for n, _ in _commands()])
def test_every_command_and_option_is_on_the_page(name: str, command: click.Command) -> None:
    """docs/cli.md has a section a command; each subcommand and option is named in it."""
    group, _, sub = name.partition(" ")
    section = CLI_PAGE.split(f"## checkrein {group}\n", 1)[1].split("\n## ", 1)[0]
    assert not sub or re.search(rf"`{sub}\b", section), f"{sub} is not in the section"
    options = [o for p in command.params if isinstance(p, click.Option) for o in p.opts[:1]]
    assert [o for o in options if not re.search(rf"{o}(?![\w-])", section)] == []
    assert command.help


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"\bCHECKREIN_[A-Z_]+\b", "".join(p.read_text() for p in PAGES))))
)
def test_a_variable_on_a_page_is_read(name: str) -> None:
    """Every CHECKREIN_* variable that a page tells of is one that the code reads."""
    sources = (ROOT / "proxy").rglob("*.py")
    assert any(f'"{name}"' in source.read_text() for source in sources)


PEOPLE_FILES = ("people.md", "notices.md")
"""Pages whose YAML is a people file."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_rule_examples_load(page: Path) -> None:
    """A YAML example is a whole rule file, and loads without a warning."""
    for example in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        if page.name in PEOPLE_FILES:
            assert read_people(page.name, example).people
            continue
        assert RuleSet.load_text(page.name, example).warnings == ()


def _table() -> dict[str, str]:
    """Returns which types of record each field of the table is in."""
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", LOG_PAGE, re.MULTILINE)
    made: dict[str, str] = {}
    for fields, types in rows:
        for field in re.findall(r"`(\w+)`", fields):
            made[field] = f"{made.get(field, '')} {types}"
    return made


@pytest.mark.parametrize("kind", WRITTEN)
def test_every_field_of_a_record_is_in_the_table(kind: str) -> None:
    """docs/log.md has a row for each field that this type of record has, and names the type."""
    table = _table()
    assert [name for name in WRITTEN[kind] if name not in table] == []
    for name in WRITTEN[kind]:
        told = table[name]
        assert kind in told or ("all" in told and f"all but `{kind}`" not in told), name


@pytest.mark.parametrize("kind", WRITTEN)
def test_the_table_promises_no_field_that_is_not_written(kind: str) -> None:
    """What docs/log.md says is in a type of record is in it."""
    ours = {"v", "seq", "time", "prev", "hash", "not_carried_out"}  # the log's and the ledger's own
    promised = [name for name, types in _table().items() if re.search(rf"\b{kind}\b(?!`)", types)]
    assert sorted(set(promised) - set(WRITTEN[kind]) - ours) == []


@pytest.mark.parametrize("part", ["call", "effects", "reasons", "budgets", "hold"])
def test_every_part_of_a_field_is_told(part: str) -> None:
    """The keys inside a decision's fields are named in the field's row."""
    value = WRITTEN["decision"][part]
    keys = list(value[0] if isinstance(value, list) else value)
    (row,) = re.findall(rf"^\| `{part}` \|.*$", LOG_PAGE, re.MULTILINE)
    words = row.replace("`", "")
    assert [key for key in keys if not re.search(rf"\b{key}\b", words)] == []


@pytest.mark.parametrize(
    ("option", "seconds"),
    [
        pytest.param("hold-wait", Settings.__dataclass_fields__["hold_wait_s"].default, id="wait"),
        pytest.param(
            "hold-expiry", Settings.__dataclass_fields__["hold_expiry_s"].default, id="expiry"
        ),
        pytest.param(
            "approval-expiry",
            Settings.__dataclass_fields__["approval_expiry_s"].default,
            id="approval",
        ),
        pytest.param("keepalive", Settings.__dataclass_fields__["keepalive_s"].default, id="alive"),
    ],
)
def test_a_default_on_the_page_is_the_codes(option: str, seconds: float) -> None:
    """Defaults in docs/cli.md are those of the settings (and so of `mitmdump -s`)."""
    found = re.search(rf"`--{option} DURATION` \| (\d+)([smh]) ", CLI_PAGE)
    assert found is not None
    assert int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] == seconds
