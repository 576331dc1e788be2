"""docs/scenarios: what the pages quote is in the packs, and the tables name everything there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.policy.ruleset import RuleSet

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "scenarios"
SETTINGS = (
    "support-desk",
    "ci-cd",
    "incident-remediation",
    "research-assistant",
    "secrets-rotation",
)
RULE = re.compile(r"^\s+- (?:\{name: |name: )([a-z-]+)", re.MULTILINE)
TABLE = (PAGES / "README.md").read_text()
ASI = {
    "ASI01: Agent Goal Hijack",
    "ASI02: Tool Misuse and Exploitation",
    "ASI03: Identity and Privilege Abuse",
    "ASI04: Agentic Supply Chain Vulnerabilities",
    "ASI05: Unexpected Code Execution (RCE)",
    "ASI06: Memory & Context Poisoning",
    "ASI07: Insecure Inter-Agent Communication",
    "ASI08: Cascading Failures",
    "ASI09: Human-Agent Trust Exploitation",
    "ASI10: Rogue Agents",
}
RMF = {
    f"{function} {n}"
    for function, last in (("GOVERN", 6), ("MAP", 5), ("MEASURE", 4), ("MANAGE", 4))
    for n in range(1, last + 1)
}
MAESTRO = {
    "1 Foundation Models",
    "2 Data Operations",
    "3 Agent Frameworks",
    "4 Deployment and Infrastructure",
    "5 Evaluation and Observability",
    "6 Security and Compliance",
    "7 Agent Ecosystem",
}


def page(setting: str) -> str:
    return (PAGES / f"{setting}.md").read_text()


def pack(setting: str) -> str:
    return (ROOT / "rules" / f"{setting}.yaml").read_text()


def names(setting: str) -> set[str]:
    """All gates, budgets, chains, requirements and signals of a pack."""
    return set(RULE.findall(pack(setting)[pack(setting).index("\ngates:") :]))


def rows(table: str) -> dict[str, list[str]]:
    """Rows of all tables of a page, by their first cell."""
    found = (line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|"))
    return {cells[0].strip(): cells for cells in found}


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_a_page_quotes_is_in_its_pack(setting: str) -> None:
    """Each quoted rule stands there line by line, in the same order; lines may be left out."""
    blocks = re.findall(r"```yml\n(.*?)```", page(setting), re.DOTALL)
    assert blocks
    for block in blocks:
        lines = iter(pack(setting).splitlines())
        for quoted in block.splitlines():
            assert quoted in lines, quoted  # an iterator: found behind the one before


@pytest.mark.parametrize("setting", SETTINGS)
def test_rules_that_a_page_names_exist_and_all_are_named(setting: str) -> None:
    """Every gate, budget, chain and requirement is on the page; the page invents none."""
    there = names(setting)
    rules = RuleSet.load([ROOT / "rules" / f"{setting}.yaml"])
    assert rules.warnings == ()
    said = page(setting)
    prefix = min(there, key=len).split("-", maxsplit=1)[0]
    invented = {w for w in re.findall(r"`([a-z]+-[a-z-]+)`", said) if w.startswith(f"{prefix}-")}
    assert invented <= there | set(SETTINGS)
    text = pack(setting)
    signals = set(RULE.findall(text[text.index("\nsignals:") :]))
    assert {name for name in there - signals if f"`{name}`" not in said} <= UNNAMED[setting]


UNNAMED: dict[str, set[str]] = {
    # Plain limits that no chain of the page is about.
    "support-desk": {"credits", "customer-deletion", "customer-messages", "customers-touched"}
    | {"support-giveaways-by-agent", "support-plan-changes", "support-look-at-the-account"},
    "ci-cd": {"ci-runs", "ci-staging-services", "ci-rollbacks", "ci-config-changes", "ci-autonomy"},
    "incident-remediation": set(),
    "research-assistant": set(),
    "secrets-rotation": set(),
}


@pytest.mark.parametrize("entries", [ASI, RMF, MAESTRO], ids=["owasp", "nist", "maestro"])
def test_the_table_has_every_entry_with_a_verdict(entries: set[str]) -> None:
    table = rows(TABLE)
    assert entries <= set(table)
    assert {table[entry][1].strip() for entry in entries} <= {"covered", "partly", "not covered"}


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_a_setting_serves_is_in_the_table(setting: str) -> None:
    """A page claims no entry that the table calls not covered, and only ones that exist."""
    served = rows(page(setting))
    table = rows(TABLE)
    for entry in re.findall(r"ASI\d\d", served["OWASP Agentic 2026"][1]):
        (name,) = [n for n in ASI if n.startswith(entry)]
        assert table[name][1] != "not covered"
    for category in re.findall(
        r"((?:GOVERN|MAP|MEASURE|MANAGE) \d)\.\d+", served["NIST AI RMF"][1]
    ):
        assert table[category][1] != "not covered"
    for layer in served["MAESTRO"][1].rstrip(" |").split(", "):
        assert table[layer][1] != "not covered"


def test_rules_and_tests_that_the_table_names_exist() -> None:
    every = set().union(*map(names, SETTINGS))
    said = set(re.findall(r"`((?:ci|incident|research|support|rotation)-[a-z-]+)`", TABLE))
    assert said <= every | set(SETTINGS)
    for test in re.findall(r"`(test_[a-z_]+\.py)`", TABLE):
        assert (ROOT / "tests" / "e2e" / "scenarios" / test).exists()
