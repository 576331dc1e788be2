"""A file that extends packs: what it overrides, what it takes away, and what is said where it cannot."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import pytest

from proxy.model import Call, Identity, Trust, Verdict
from proxy.policy.load import Loaded, load_paths
from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import RuleSet
from proxy.settings import packs_directory

BASE = """\
version: 1
vars:
  refund_limit: 100 EUR
  team: {type: text, about: Who is asked.}
tools:
  - name: [refund, give_back]
    effects: [{kind: money.refund, amount: args.amount, unit: EUR, target: args.order}]
  - {name: look_up, effects: []}
  - http: {method: POST, host: billing.internal, path: "/refunds/{id}"}
    effects: [{kind: money.refund, amount: body.amount, unit: EUR, target: path.id}]
gates:
  - {name: large, when: effect.kind == "money.refund" && effect.amount > 500, verdict: block, message: Ask $team.}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: $refund_limit, window: 24h, warn_at: 0.8}
model_hosts: [models.internal]
unmapped: block
"""
WHO = Identity("s", "a", Trust.CREDENTIAL, Trust.CREDENTIAL)


def written(folder: Path, **files: str) -> Path:
    """Writes files and returns the last one's path."""
    path = folder / "none"
    for name, text in files.items():
        path = folder / f"{name}.yaml"
        path.write_text(dedent(text))
    return path


def load(folder: Path, text: str, **files: str) -> Loaded:
    return load_paths([written(folder, **({"base": BASE} | files), mine=text)])


def mistakes(folder: Path, text: str, **files: str) -> list[str]:
    with pytest.raises(RuleErrors) as caught:
        load(folder, text, **files)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_a_file_that_only_extends_is_the_pack(tmp_path: Path) -> None:
    made = load(tmp_path, "version: 1\nextends: base\nvars: {team: billing}\n")
    assert [tool.label for tool in made.tools] == [
        "refund",
        "look_up",
        "POST billing.internal/refunds/{id}",
    ]
    assert made.budgets[0].limit == 100
    assert made.gates[0].message == "Ask billing."
    assert (made.unmapped, made.model_hosts) == (Verdict.BLOCK, ("models.internal",))
    assert [Path(name).name for name in made.files] == ["mine.yaml", "base.yaml"]


def test_an_entry_of_the_same_name_states_only_what_it_changes(tmp_path: Path) -> None:
    made = load(
        tmp_path,
        """\
        version: 1
        extends: [base]
        vars: {team: billing, refund_limit: 250 EUR}
        gates:
          - {name: large, verdict: hold}
          - {name: mine, when: tool == "look_up"}
        budgets:
          - {name: refunds, window: 7d}
        unmapped: hold
        model_hosts: [others.internal]
        """,
    )
    assert [(g.name, g.verdict, Path(g.file).name, g.line) for g in made.gates] == [
        ("mine", Verdict.HOLD, "mine.yaml", 6),
        ("large", Verdict.HOLD, "mine.yaml", 5),
    ]
    (budget,) = made.budgets
    assert (budget.limit, budget.window_ms, budget.warn_at) == (
        Decimal(250),
        7 * 86_400_000,
        Decimal("0.8"),
    )
    assert made.unmapped is Verdict.HOLD
    assert made.model_hosts == ("models.internal", "others.internal")


def test_off_takes_an_entry_away(tmp_path: Path) -> None:
    made = load(
        tmp_path,
        """\
        version: 1
        extends: base
        tools: [{name: [give_back, refund], off: true}]
        gates: [{name: large, off: true}]
        budgets: [{name: refunds, off: true}]
        """,
    )
    assert (made.gates, made.budgets) == ([], [])
    assert [tool.label for tool in made.tools] == ["look_up", "POST billing.internal/refunds/{id}"]


def test_a_tool_of_ones_own_goes_before_the_packs(tmp_path: Path) -> None:
    rules = RuleSet(
        load(
            tmp_path,
            """\
            version: 1
            extends: base
            vars: {team: billing}
            tools:
              - name: refund
                effects: [{kind: money.refund, amount: args.cents, unit: EUR, target: args.order}]
            """,
        )
    )
    assert rules.warnings == ()
    call = Call("c", "refund", {"cents": 7, "order": "o"}, "")
    assert rules.assess(call, WHO).effects[0].effect.amount == 7
    other = Call("c", "give_back", {"amount": 8, "order": "o"}, "")
    assert rules.assess(other, WHO).effects[0].effect.amount == 8


def test_a_pack_extends_a_pack(tmp_path: Path) -> None:
    middle = "version: 1\nextends: base\nvars: {team: billing, refund_limit: 50 EUR}\n"
    made = load(tmp_path, "version: 1\nextends: middle\nvars: {team: night shift}\n", middle=middle)
    assert (made.budgets[0].limit, made.gates[0].message) == (Decimal(50), "Ask night shift.")


def test_a_folder_may_hold_a_pack_and_the_file_that_extends_it(tmp_path: Path) -> None:
    written(tmp_path, base=BASE, mine="version: 1\nextends: base\nvars: {team: billing}\n")
    assert len(load_paths([tmp_path]).budgets) == 1


def test_the_digest_is_that_of_all_files(tmp_path: Path) -> None:
    text = "version: 1\nextends: base\nvars: {team: billing}\n"
    before = load(tmp_path, text).digest
    assert load(tmp_path, text, base=BASE + "# a word more\n").digest != before


def test_packs_are_found_beside_then_in_the_users_folder_then_among_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECKREIN_PACKS", str(tmp_path / "own"))
    mine = written(tmp_path, mine="version: 1\nextends: support-desk\n")
    assert load_paths([mine]).files[1] == str(packs_directory() / "support-desk.yaml")
    (tmp_path / "own").mkdir()
    own = written(tmp_path / "own", **{"support-desk": "version: 1\n"})
    assert load_paths([mine]).files[1] == str(own)
    beside = written(tmp_path, **{"support-desk": "version: 1\n"})
    assert load_paths([mine]).files[1] == str(beside)


def test_a_pack_of_the_same_name_extends_ours_not_itself(tmp_path: Path) -> None:
    mine = written(tmp_path, **{"support-desk": "version: 1\nextends: support-desk\n"})
    assert load_paths([mine]).files == (str(mine), str(packs_directory() / "support-desk.yaml"))


def test_mistakes_stand_where_they_were_written(tmp_path: Path) -> None:
    base = "version: 1\ngates:\n  - {name: one, when: effect.kid == 'x'}\n  - {name: two, when: 'true'}\n"
    mine = "version: 1\nextends: base\ngates:\n  - {name: two, verdict: stop}\n"
    assert mistakes(tmp_path, mine, base=base) == [
        "base.yaml:3:23: gate 'one': when: unknown variable or function 'effect.kid'; did you mean 'effect.kind'?",
        "mine.yaml:4:26: gate 'two': verdict: 'stop' is not one of hold, block",
    ]


MISTAKES = {
    "unknown-pack": (
        "extends: bse",
        {},
        ["mine.yaml:2:10: extends: there is no pack 'bse'; did you mean 'base'?"],
    ),
    "unknown-file": (
        "extends: [./none.yaml]",
        {},
        ["mine.yaml:2:11: extends: './none.yaml': there is no such file"],
    ),
    "no-text": (
        "extends: 3",
        {},
        ["mine.yaml:2:10: extends: expected a pack's name, got a number"],
    ),
    "round": (
        "extends: other",
        {"other": "version: 1\nextends: mine\n"},
        ["other.yaml:2:10: extends: goes round: mine.yaml -> other.yaml -> mine.yaml"],
    ),
    "off-of-nothing": (
        "extends: base\nvars: {team: x}\ngates: [{name: lrge, off: true}]",
        {},
        ["mine.yaml:4:9: no pack below has a gate 'lrge'; did you mean 'large'?"],
    ),
    "change-of-nothing": (
        "extends: base\nvars: {team: x}\nbudgets: [{name: refund, limit: 4}, {name: refnds, window: 1h}]",
        {},
        [
            "mine.yaml:4:11: budget 'refund': needs exactly one of 'count: true', 'sum: UNIT' and 'distinct: target'",
            "mine.yaml:4:37: no pack below has a budget 'refnds'; did you mean 'refunds'?",
        ],
    ),
    "off-is-no-switch": (
        "extends: base\nvars: {team: x}\ngates: [{name: large, off: false}]",
        {},
        ["mine.yaml:4:28: off: only 'off: true' is possible here"],
    ),
    "names-of-two-types": (
        "tools: [{name: [a, 1], effects: []}]\nvars: -1\nmodel_hosts: [a, 1]",
        {},
        [
            "mine.yaml:2:16: tool 'a': name: expected a name or glob as text, got a number",
            "mine.yaml:3:7: vars: expected a mapping of keys to values, got a number",
            "mine.yaml:4:14: model_hosts: expected a host name, got a number",
        ],
    ),
    "off-without-extends": (
        "gates: [{name: large, off: true}]",
        {},
        ["mine.yaml:2:9: no pack below has a gate 'large'"],
    ),
    "two-packs-one-name": (
        "extends: [base, other]\nvars: {team: x}",
        {"other": "version: 1\ngates: [{name: large, when: 'true'}]\n"},
        ["mine.yaml:2:10: base.yaml and other.yaml both have a gate 'large'; extend one of them"],
    ),
    "no-value": (
        "extends: base",
        {},
        ["base.yaml:12:108: the variable '$team' has no value yet; state it under 'vars:'"],
    ),
}


@pytest.mark.parametrize(("text", "files", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_what_cannot_be_extended_is_told(
    text: str, files: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    found = [
        line.replace(f"{tmp_path}/", "")
        for line in mistakes(tmp_path, f"version: 1\n{text}\n", **files)
    ]
    assert found == expected


def test_every_pack_that_ships_can_be_extended(tmp_path: Path) -> None:
    """Each stands alone, so each can be what somebody starts from."""
    for path in sorted(packs_directory().glob("*.yaml")):
        if path.name.endswith(".cases.yaml"):
            continue
        mine = written(tmp_path, mine=f"version: 1\nextends: {path.stem}\n")
        below, over = load_paths([path]), load_paths([mine])
        assert len(over.gates) == len(below.gates)
        assert len(over.tools) == len(below.tools)
        assert over.unmapped is below.unmapped
