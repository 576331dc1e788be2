"""Prices: kind, reversibility, data class and trust multiplied, from tables that rule files may replace."""

from __future__ import annotations

from decimal import Decimal

import pytest

from proxy.model import Call, Identity, Json, Origin, Trust
from proxy.policy.facts import NoFacts
from proxy.policy.points import Prices
from proxy.policy.ruleset import RuleSet
from proxy.settings import packs_directory

PRICES = Prices(
    kinds={
        "*": Decimal(1),
        "data.*": Decimal(2),
        "data.read.*": Decimal(3),
        "data.read": Decimal(0),
    },
    reversibility={"irreversible": Decimal(2)},
    labels={"secret*": Decimal(4), "pii.*": Decimal("1.5")},
    trust={"peer": Decimal("1.5")},
)


@pytest.mark.parametrize(
    ("kind", "reversibility", "points"),
    [
        ("other", "reversible", "1"),
        ("other", "irreversible", "2"),
        ("data.write", "reversible", "2"),
        ("data.read.secret", "irreversible", "6"),
        ("data.read", "reversible", "0"),
        ("database.read", "reversible", "1"),
    ],
)
def test_the_longest_kind_counts(kind: str, reversibility: str, points: str) -> None:
    """An exact name before a glob, a longer glob before a shorter one."""
    assert PRICES.base(kind, reversibility) == Decimal(points)


@pytest.mark.parametrize(
    ("labels", "trust", "factor"),
    [
        ((), Trust.CREDENTIAL, "1"),
        (("pii.email",), Trust.CREDENTIAL, "1.5"),
        (("pii.email", "secret.key"), Trust.CREDENTIAL, "4"),
        (("secret.key",), Trust.PEER, "6"),
        (("harmless",), Trust.PEER, "1.5"),
    ],
)
def test_the_most_sensitive_class_counts(
    labels: tuple[str, ...], trust: Trust, factor: str
) -> None:
    """Labels do not add up; who asks multiplies."""
    assert PRICES.factor(labels, trust) == Decimal(factor)


class Carrying(NoFacts):
    """Everything comes from a result with a secret in it."""

    def origin(self, value: Json) -> Origin:
        return Origin(labels=("secret.token",))


RULES = """version: 1
tools:
  - {name: mail, effects: [{kind: message.external, target: args.to}]}
  - {name: stated, effects: [{kind: message.external, target: args.to, points: 7}]}
budgets:
  - {name: autonomy, sum: points, limit: 10, since: checkpoint}
"""


@pytest.mark.parametrize(
    ("tool", "trust", "points"),
    [
        pytest.param("mail", Trust.CREDENTIAL, "16", id="message-with-a-secret"),
        pytest.param("mail", Trust.PEER, "24", id="asked-for-by-nobody-known"),
        pytest.param("stated", Trust.PEER, "7", id="stated-outright"),
    ],
)
def test_an_effect_is_priced_by_what_it_carries_and_who_asks(
    tool: str, trust: Trust, points: str
) -> None:
    """The shipped tables: a message costs 4, a secret in it four times that."""
    rules = RuleSet.load_text("t.yaml", RULES)
    call = Call("1", tool, {"to": "a@b.example"}, "openai.chat", "0")
    assessed = rules.assess(call, Identity("s", "a", trust, trust), facts=Carrying())
    (charged,) = assessed.effects
    assert charged.effect.points == Decimal(points)
    assert [charge.amount for charge in charged.charges] == [Decimal(points)]


def test_a_file_replaces_the_tables_it_states() -> None:
    """The others stay as they came."""
    text = RULES + "prices: {kinds: {'message.*': 3}, trust: {peer: 1}}\n"
    rules = RuleSet.load_text("t.yaml", text)
    call = Call("1", "mail", {"to": "a@b.example"}, "openai.chat", "0")
    assessed = rules.assess(call, Identity("s", "a", Trust.PEER, Trust.PEER), facts=Carrying())
    assert assessed.effects[0].effect.points == Decimal(12)


def test_every_shipped_figure_says_why() -> None:
    """A price without a reason cannot be argued with."""
    lines = (packs_directory() / "prices.yaml").read_text(encoding="utf-8").splitlines()
    figures = [line for line in lines if line.startswith("    ")]
    assert len(figures) > 40
    assert [line for line in figures if " # " not in line] == []
