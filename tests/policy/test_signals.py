"""Signals as rules: which happening meets which entry, what all in force adds up to, and hours."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from proxy.model import Call, Identity, Json, Trust, Verdict
from proxy.policy.facts import InForce, NoFacts
from proxy.policy.hours import HoursFault, read_hours
from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import Assessment, RuleSet
from proxy.policy.signals import Acting, Action, Signal, in_force, of_model_request

BASE = """version: 1
tools:
  - {name: pay, effects: [{kind: money.pay, amount: args.amount, unit: EUR}]}
  - {name: look, effects: []}
gates:
  - {name: g, when: 'effect.kind == "money.pay"', message: Ask.}
budgets:
  - {name: once, of: money.pay, sum: EUR, limit: 100, per: call}
  - {name: pays, of: money.pay, sum: EUR, limit: 100}
signals:
"""
WHO = Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL)


def signal(text: str) -> Signal:
    return RuleSet.load_text("x.yaml", f"{BASE}  - {{{text}}}\n").signals[0]


@pytest.mark.parametrize(
    ("on", "happened", "fits"),
    [
        pytest.param("loop, count: 2, within: 1m", "loop", True, id="built-in"),
        pytest.param("loop, count: 2, within: 1m", "rate", False, id="another"),
        pytest.param('"siem.*"', "siem.alert", True, id="glob"),
        pytest.param('"siem.*"', "health.down", False, id="another-glob"),
        pytest.param('"*"', "health.down", True, id="all-posted"),
        pytest.param('"*"', "loop", False, id="a-glob-is-about-posted-ones-alone"),
        pytest.param("siem.alert", "siem.alert.more", False, id="whole-name"),
    ],
)
def test_which_entry_is_meant(on: str, happened: str, fits: bool) -> None:
    assert signal(f"on: {on}, do: freeze").fits(happened) is fits


@pytest.mark.parametrize(
    ("when", "fields", "met"),
    [
        pytest.param("signal.severity >= 7", {"severity": 7}, True, id="met"),
        pytest.param("signal.severity >= 7", {"severity": 6.5}, False, id="not-met"),
        pytest.param("signal.severity >= 7", {}, True, id="missing-field-is-doubt"),
        pytest.param("signal.severity >= 7", {"severity": "high"}, True, id="other-type-is-doubt"),
        pytest.param("signal.severity", {"severity": "no"}, True, id="no-boolean-is-doubt"),
        pytest.param("signal.tool != 'poll'", {"tool": "poll"}, False, id="text"),
    ],
)
def test_a_condition_in_doubt_is_met(when: str, fields: dict[str, Json], met: bool) -> None:
    """What is posted from outside may leave out the field that a rule asks for."""
    assert signal(f'on: "siem.*", when: "{when}", do: freeze').holds(fields) is met


def test_a_condition_over_depth_is_met() -> None:
    deep: Json = []
    for _ in range(50_000):
        deep = [deep]
    made = signal('on: "siem.*", when: "signal.x == 1", do: freeze')
    assert made.holds({"x": deep}) is True


@pytest.mark.parametrize(
    ("value", "stated", "arguments", "low"),
    [
        pytest.param(None, "0.5", {}, "0.5", id="answer-below"),
        pytest.param(None, "0.6", {}, None, id="answer-at-the-mark"),
        pytest.param(None, None, {}, None, id="answer-without-probability"),
        pytest.param("args.c", None, {"c": Decimal("0.59")}, "0.59", id="argument-below"),
        pytest.param("args.c", "0.1", {"c": Decimal("0.9")}, None, id="the-argument-counts"),
        pytest.param("args.c", None, {}, "not stated", id="argument-left-out"),
        pytest.param("args.c", None, {"c": "very"}, "not stated", id="argument-no-number"),
        pytest.param("args.c", None, {"c": "0.4"}, "0.4", id="number-as-text"),
        pytest.param("args.c", None, {"c": 95}, "not stated", id="per-cent"),
        pytest.param("args.c", None, {"c": -1}, "not stated", id="negative"),
        pytest.param("args.c", None, None, "not stated", id="no-arguments"),
    ],
)
def test_confidence(
    value: str | None, stated: str | None, arguments: Json, low: str | None
) -> None:
    """An agent cannot be sure of itself by leaving the number out."""
    extra = f", value: {value}" if value else ""
    made = signal(f"on: low-confidence, below: 0.6{extra}, do: freeze")
    said = Decimal(stated) if stated is not None else None
    assert made.is_low(said, arguments, "pay") == low


def test_the_strictest_of_all_in_force_wins() -> None:
    """Of a budget the smallest factor, of a freeze the oldest, of holds all."""
    found = in_force(
        [
            Acting("a", (Action("scale", "pays", Decimal("0.5")), Action("raise", "g")), "A."),
            Acting("b", (Action("scale", "pays", Decimal(0)), Action("hold", "money.*")), "B."),
            Acting("c", (Action("freeze"), Action("block", "money.*")), "C."),
            Acting("d", (Action("freeze"), Action("scale", "pays", Decimal("0.9"))), "D."),
        ]
    )
    assert found == InForce(
        "C.",
        {"pays": Decimal(0)},
        frozenset({"g"}),
        (("money.*", Verdict.HOLD, "B.", "b"), ("money.*", Verdict.BLOCK, "C.", "c")),
        {"budget:pays": "B.", "gate:g": "A."},
    )


class _Under(NoFacts):
    """No past, and something in force."""

    def __init__(self, found: InForce) -> None:
        self.in_force = found


def judged(tool: str, *actions: Action, arguments: Json = None) -> Assessment:
    rules = RuleSet.load_text("x.yaml", f"{BASE}  - {{on: x.y, do: freeze}}\n")
    call = Call("c", tool, arguments or {"amount": 40}, "openai.chat")
    return rules.assess(call, WHO, facts=_Under(in_force([Acting("x", actions, "Why.")])))


@pytest.mark.parametrize(
    ("tool", "action", "verdict", "says"),
    [
        pytest.param("pay", Action("freeze"), Verdict.BLOCK, "Why.", id="freeze"),
        pytest.param("look", Action("freeze"), Verdict.BLOCK, "Why.", id="freeze-no-effect"),
        pytest.param("unheard", Action("freeze"), Verdict.BLOCK, "Why.", id="freeze-unmapped"),
        pytest.param("pay", Action("raise", "g"), Verdict.BLOCK, "Ask. Why.", id="raise"),
        pytest.param("look", Action("raise", "g"), Verdict.ALLOW, "", id="raise-another"),
        pytest.param("pay", Action("block", "money.*"), Verdict.BLOCK, "Why.", id="block-kind"),
        pytest.param("look", Action("hold", "money.*"), Verdict.ALLOW, "", id="hold-another-kind"),
        pytest.param("look", Action("hold", "*"), Verdict.HOLD, "Why.", id="hold-all"),
        pytest.param(
            "pay",
            Action("scale", "once", Decimal("0.1")),
            Verdict.HOLD,
            "is 10",
            id="scale-per-call",
        ),
    ],
)
def test_what_is_in_force_acts(tool: str, action: Action, verdict: Verdict, says: str) -> None:
    reasons = judged(tool, action).reasons
    assert max((r.verdict for r in reasons), default=Verdict.ALLOW) is verdict
    assert says in " ".join(r.text for r in reasons if r.verdict is verdict)


@pytest.mark.parametrize(
    ("by", "limit"),
    [("1", "100"), ("0.5", "50.0"), ("0", "0")],
    ids=["as-it-was", "half", "zero"],
)
def test_a_budget_is_scaled(by: str, limit: str) -> None:
    """The ledger is asked with the smaller limit; what was spent stays spent."""
    (effect,) = judged("pay", Action("scale", "pays", Decimal(by))).effects
    assert [charge.limit for charge in effect.charges] == [Decimal(limit)]


@pytest.mark.parametrize("kind", ["unparsed", "opaque", "pass-through"])
def test_a_freeze_stops_traffic_that_nobody_can_read(kind: str) -> None:
    rules = RuleSet.load_text("x.yaml", BASE.removesuffix("signals:\n") + "opaque: allow\n")
    call = Call("c", "host", {"why": "x"}, "http", kind=kind)
    found = rules.assess(
        call, WHO, facts=_Under(in_force([Acting("x", (Action("freeze"),), "W.")]))
    )
    assert max(r.verdict for r in found.reasons) is Verdict.BLOCK


def test_a_hold_on_every_call_is_not_about_model_requests() -> None:
    """The model must be asked, or no call could ever be made and approved."""
    found = of_model_request(
        in_force([Acting("x", (Action("hold", "*"), Action("hold", "spend")), "W.")])
    )
    assert [hold[0] for hold in found.holds] == ["spend"]


def test_entries_without_a_name_are_named_apart() -> None:
    text = (
        BASE
        + "  - {on: loop, count: 2, within: 1m, do: freeze}\n"
        + "  - {on: loop, count: 3, within: 1m, do: freeze}\n"
        + "  - {on: x.y, do: freeze, name: loop}\n"
    )
    assert [s.name for s in RuleSet.load_text("x.yaml", text).signals] == [
        "loop-2",
        "loop-3",
        "loop",
    ]


def test_a_name_is_used_once() -> None:
    text = BASE + "  - {on: x.y, do: freeze, name: a}\n  - {on: x.z, do: freeze, name: a}\n"
    with pytest.raises(RuleErrors, match=r"the name is taken by the signal at x\.yaml:11"):
        RuleSet.load_text("x.yaml", text)


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("hours", "at", "inside"),
    [
        pytest.param("Mon-Fri 08:00-18:00", "2026-11-25 08:00", True, id="first-minute"),
        pytest.param("Mon-Fri 08:00-18:00", "2026-11-25 07:59", False, id="a-minute-early"),
        pytest.param("Mon-Fri 08:00-18:00", "2026-11-25 17:59", True, id="last-minute"),
        pytest.param("Mon-Fri 08:00-18:00", "2026-11-25 18:00", False, id="over"),
        pytest.param("Mon-Fri 08:00-18:00", "2026-11-28 12:00", False, id="saturday"),
        pytest.param("Mon-Fri 08:00-18:00, sat 10:00-14:00", "2026-11-28 12:00", True, id="list"),
        pytest.param("08:00-18:00", "2026-11-29 12:00", True, id="every-day"),
        pytest.param("Fri-Mon 08:00-18:00", "2026-11-29 12:00", True, id="over-the-weekend"),
        pytest.param("Fri-Mon 08:00-18:00", "2026-11-25 12:00", False, id="midweek"),
        pytest.param("Fri 22:00-06:00", "2026-11-28 05:59", True, id="over-midnight"),
        pytest.param("Fri 22:00-06:00", "2026-11-27 05:59", False, id="the-night-before"),
        pytest.param("Mon 00:00-24:00", "2026-11-30 23:59", True, id="the-whole-day"),
        pytest.param("08:00-18:00", "2026-03-29 08:00", True, id="the-day-that-lost-an-hour"),
        pytest.param("08:00-18:00", "2026-10-25 07:59", False, id="the-day-that-won-one"),
    ],
)
def test_hours(hours: str, at: str, inside: bool) -> None:
    """The clock on the wall counts, in the zone that the rule names."""
    moment = datetime.fromisoformat(at).replace(tzinfo=BERLIN)
    assert read_hours(hours, "Europe/Berlin").contain(int(moment.timestamp() * 1000)) is inside


@pytest.mark.parametrize(
    ("hours", "zone"),
    [
        ("8-18", "UTC"),
        ("08:00-08:00", "UTC"),
        ("25:00-26:00", "UTC"),
        ("08:60-18:00", "UTC"),
        ("Mo 08:00-18:00", "UTC"),
        ("", "UTC"),
        ("08:00-18:00", "../etc/passwd"),
        ("08:00-18:00", "Mars/Olympus"),
    ],
)
def test_hours_that_are_none(hours: str, zone: str) -> None:
    with pytest.raises(HoursFault):
        read_hours(hours, zone)


def test_a_kind_that_no_tool_has_is_warned_of() -> None:
    """A hold on a kind that is written wrong would never hold anything."""
    text = BASE + '  - {on: x.y, do: {hold: [money.*, monye.pay, "*", spend]}}\n'
    (warning,) = RuleSet.load_text("x.yaml", text).warnings
    told = "signal 1: hold: no tool produces an effect 'monye.pay'; did you mean 'money.pay'?"
    assert str(warning) == f"x.yaml:11:19: {told}"
