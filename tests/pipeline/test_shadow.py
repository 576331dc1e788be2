"""Shadow through the real judge and ledger: what is told, what counts, and that nothing is weaker for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from proxy.ledger.store import SignalRow
from proxy.model import HttpCall, Side, ToolResult, Verdict
from proxy.pipeline.decision import Decision
from proxy.pipeline.texts import refusal_text
from proxy.policy.load import load_texts
from proxy.policy.ruleset import RuleSet
from proxy.wire.codec import ParsedRequest

if TYPE_CHECKING:
    from tests.conftest import Bench, MakeBench

ALLOW, HOLD, BLOCK = Verdict.ALLOW, Verdict.HOLD, Verdict.BLOCK

BASE = """version: 1
pack: base
tools:
  - {name: refund, effects: [{kind: money.refund, amount: args.n, unit: EUR, target: args.t}]}
  - {name: order, effects: [{kind: order.read, target: args.t}]}
  - {name: secret, effects: [{kind: data.read.secret, target: args.t}]}
  - {name: send, effects: [{kind: data.egress, target: args.t, data: args.t}]}
  - {name: note, effects: []}
  - {shell: Bash, argument: args.command}
  - {sql: query, argument: args.text}
  - {http: {method: POST, host: pay.internal, path: /refund}, effects: [{kind: money.refund, amount: body.n, unit: EUR, target: body.t}]}
commands:
  - {run: rm, effects: [{kind: data.delete.file, target: cmd.name}]}
  - {run: echo, effects: []}
statements:
  - {statement: select, effects: [{kind: data.query, target: stmt.target}]}
gates:
  - {name: large, when: 'effect.kind == "money.refund" && effect.amount > 80.0'}
  - {name: deletes, when: 'effect.kind == "data.delete.file"'}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 100, per: session}
  - {name: autonomy, sum: points, limit: 500, per: session}
chains:
  - {name: leaks, steps: [data.read.secret, data.egress], on_match: block}
requires:
  - {name: look-first, for: money.refund, evidence: order.read}
"""


class Agent:
    """Calls in order, a second apart, each in an answer of its own."""

    def __init__(self, bench: Bench, *files: str) -> None:
        self.bench = bench
        self.turn = 0
        if files:
            self.under(*files)

    def under(self, *files: str) -> None:
        """The rules are these from now on."""
        named = [(f"{i}.yaml", text) for i, text in enumerate(files)]
        self.bench.pipeline.rulebook.rules = RuleSet(load_texts(named))

    async def does(self, tool: str, /, **arguments: Any) -> Decision:
        self.turn += 1
        self.bench.now_ms += 1000
        call = self.bench.call(tool, json.dumps(arguments), f"c{self.turn}", f"r{self.turn}")
        return await self.bench.decide(call)

    async def asks(self, host: str, path: str, body: dict[str, Any]) -> Decision:
        """The same on the tool's side, over HTTP."""
        self.turn += 1
        self.bench.now_ms += 1000
        http = HttpCall("POST", host, path, body=body)
        name = self.bench.pipeline.rules.route_name("POST", host, path) or f"POST {host}{path}"
        text = json.dumps({"path": path, "body": body})
        call = self.bench.call(name, text, None, None, side=Side.HTTP, kind="http")
        return await self.bench.decide(call, http=http, origin=f"x{self.turn}")

    async def reads(self, text: str = "fine", *, is_error: bool = False) -> None:
        """The newest call has brought something."""
        result = ToolResult(f"c{self.turn}", None, text, is_error)
        request = ParsedRequest("openai.chat", {}, results=(result,))
        await self.bench.pipeline.observe(self.bench.who(), request)


def told(bench: Bench) -> dict[str, Any]:
    """The newest decision, as logged."""
    record: dict[str, Any] = bench.records("decision")[-1]
    return record


def rules_of(record: dict[str, Any], mode: str) -> list[str]:
    return [reason["rule"] for reason in record["reasons"] if reason["mode"] == mode]


# --- one rule in shadow -------------------------------------------------------------------------------

ONE = """version: 1
pack: one
unmapped: allow
tools:
  - {name: pay, effects: [{kind: money.pay, amount: args.n, unit: EUR, target: args.t}]}
  - {name: look, effects: [{kind: order.read, target: args.t}]}
"""


@pytest.mark.parametrize(
    ("rule", "calls", "would", "name"),
    [
        pytest.param(
            "gates: [{name: g, mode: shadow, when: 'tool == \"pay\"', verdict: block}]",
            1, "block", "g", id="gate",
        ),
        pytest.param(
            "gates: [{name: g, mode: shadow, when: 'args.none == 1'}]",
            1, "hold", "g", id="gate-in-doubt",
        ),
        pytest.param(
            "budgets: [{name: b, mode: shadow, of: money.pay, sum: EUR, limit: 30, on_exceed: block}]",
            2, "block", "b", id="budget",
        ),
        pytest.param(
            "budgets: [{name: b, mode: shadow, of: money.pay, count: true, limit: 1, per: session}]",
            2, "hold", "b", id="budget-count",
        ),
        pytest.param(
            "budgets: [{name: b, mode: shadow, of: money.pay, sum: EUR, limit: 10, per: call}]",
            1, "hold", "b", id="budget-per-call",
        ),
        pytest.param(
            "chains: [{name: c, mode: shadow, steps: [money.pay, money.pay], on_match: block}]",
            2, "block", "c", id="chain",
        ),
        pytest.param(
            "requires: [{name: r, mode: shadow, for: money.pay, evidence: order.read}]",
            1, "hold", "r", id="requirement",
        ),
        pytest.param(
            "signals: [{on: loop, mode: shadow, count: 2, within: 1h, do: freeze}]",
            2, "block", "frozen", id="signal-freezes",
        ),
        pytest.param(
            "signals: [{on: loop, mode: shadow, count: 2, within: 1h, do: {hold: 'money.*'}}]",
            2, "hold", "loop", id="signal-holds",
        ),
        pytest.param(
            "budgets: [{name: b, of: money.pay, sum: EUR, limit: 100}]\n"
            "signals: [{on: loop, mode: shadow, count: 2, within: 1h, do: {scale: b, by: 0.3}}]",
            2, "hold", "b", id="signal-scales",
        ),
        pytest.param(
            "signals: [{on: out-of-hours, mode: shadow, hours: 'Mon 00:00-00:01', do: {block: '*'}}]",
            1, "block", "out-of-hours", id="signal-of-one-call",
        ),
    ],
)  # fmt: skip
async def test_a_rule_in_shadow_tells_and_stops_nothing(
    make_bench: MakeBench, rule: str, calls: int, would: str, name: str
) -> None:
    """The call passes, the log says what would have been and by which rule, the agent is told nothing."""
    bench = make_bench(ONE + rule + "\n")
    agent = Agent(bench)
    for _ in range(calls):
        decision = await agent.does("pay", n=20, t="x")
        assert (decision.verdict, decision.reasons) == (ALLOW, ())
    record = told(bench)
    assert (record["verdict"], record["would"]) == ("allow", would)
    assert (rules_of(record, "shadow"), rules_of(record, "enforce")) == ([name], [])
    assert await bench.pipeline.desk.list() == ()


async def test_a_signal_in_shadow_raises_a_gate_for_the_log_alone(make_bench: MakeBench) -> None:
    """What the gate holds it holds still; that it would have blocked is told."""
    rules = """
gates: [{name: g, when: 'tool == "pay"'}]
signals: [{on: loop, mode: shadow, count: 2, within: 1h, do: {raise: g}}]
"""
    bench = make_bench(ONE + rules)
    agent = Agent(bench)
    await agent.does("pay", n=1, t="x")
    decision = await agent.does("pay", n=1, t="x")
    assert decision.verdict is HOLD
    assert "Signal" not in refusal_text(decision, None)
    record = told(bench)
    assert (record["would"], rules_of(record, "shadow"), rules_of(record, "enforce")) == (
        "block", ["g"], ["g"],
    )  # fmt: skip
    (signal,) = bench.records("signal")
    assert [rule["mode"] for rule in signal["rules"]] == ["shadow"]


@pytest.mark.parametrize(
    ("file", "own", "verdict", "would"),
    [
        pytest.param("", "", BLOCK, None, id="nothing-stated"),
        pytest.param("mode: enforce", "", BLOCK, None, id="file-enforced"),
        pytest.param("mode: shadow", "", ALLOW, "block", id="file-in-shadow"),
        pytest.param("", ", mode: shadow", ALLOW, "block", id="rule-in-shadow"),
        pytest.param("mode: shadow", ", mode: enforce", BLOCK, None, id="rule-wins-over-its-file"),
        pytest.param("mode: enforce", ", mode: shadow", ALLOW, "block", id="shadow-wins-as-well"),
    ],
)
async def test_a_rules_own_mode_goes_before_its_files(
    make_bench: MakeBench, file: str, own: str, verdict: Verdict, would: str | None
) -> None:
    gate = f"gates: [{{name: g, when: 'tool == \"pay\"', verdict: block{own}}}]\n"
    bench = make_bench(ONE.replace("pack: one", f"pack: one\n{file}") + gate)
    assert (await Agent(bench).does("pay", n=1, t="x")).verdict is verdict
    assert told(bench)["would"] == would


@pytest.mark.parametrize(
    ("call", "would"),
    [
        pytest.param(("unheard", {}), "hold", id="unmapped"),
        pytest.param(("pay", {"n": "1e3", "t": "x"}), "hold", id="unreadable-amount"),
        pytest.param(("pay", {"n": 1}), "hold", id="missing-target"),
        pytest.param(("pay", {"n": 1, "t": "x"}), None, id="fine"),
    ],
)
async def test_a_set_in_shadow_stops_nothing(
    make_bench: MakeBench, call: tuple[str, dict[str, Any]], would: str | None
) -> None:
    """Whatever would hold a call for lack of a reading is told as well, and passes."""
    bench = make_bench(ONE.replace("unmapped: allow", "unmapped: hold\nmode: shadow"))
    assert (await Agent(bench).does(call[0], **call[1])).verdict is ALLOW
    assert told(bench)["would"] == would


async def test_unreadable_arguments_pass_a_set_in_shadow(make_bench: MakeBench) -> None:
    bench = make_bench(ONE.replace("pack: one", "pack: one\nmode: shadow"))
    assert (await bench.decide(bench.call("pay", "{"))).verdict is ALLOW
    assert told(bench)["would"] == "block"


async def test_a_rule_enforced_in_a_file_in_shadow_has_no_way_round(make_bench: MakeBench) -> None:
    """Its file's tools are read for it, and what of them cannot be read is held for it."""
    rules = """mode: shadow
budgets: [{name: b, mode: enforce, of: money.pay, sum: EUR, limit: 30}]
"""
    bench = make_bench(ONE + rules)
    agent = Agent(bench)
    assert (await agent.does("pay", n=20, t="x")).verdict is ALLOW
    assert (await agent.does("pay", n=20, t="x")).verdict is HOLD
    assert (await agent.does("pay", n="1e3", t="x")).verdict is HOLD
    assert (await bench.decide(bench.call("pay", "{"))).verdict is BLOCK


async def test_a_humans_freeze_stops_a_set_in_shadow(make_bench: MakeBench) -> None:
    """It is no rule; only a whole run in shadow (`--shadow`) takes it as told."""
    bench = make_bench(ONE.replace("pack: one", "pack: one\nmode: shadow"))
    agent = Agent(bench)
    await bench.pipeline.see_session(bench.who(), "here")
    assert await bench.pipeline.signals.freeze("s1", "me", None) is not None
    assert (await agent.does("pay", n=1, t="x")).verdict is BLOCK


# --- budgets and time ---------------------------------------------------------------------------------


async def test_a_budget_in_shadow_counts_on_past_its_limit(make_bench: MakeBench) -> None:
    """Before and after are real; when it is enforced, what was counted in shadow counts."""
    budget = "budgets: [{name: b, of: money.pay, sum: EUR, limit: 30, mode: MODE}]\n"
    agent = Agent(make_bench(), ONE + budget.replace("MODE", "shadow"))
    for after in (20, 40, 60):
        assert (await agent.does("pay", n=20, t="x")).verdict is ALLOW
        (state,) = told(agent.bench)["budgets"]
        assert (state["after"], state["mode"]) == (after, "shadow")
    assert await agent.bench.used(budget="b") == "60"
    agent.under(ONE + budget.replace("MODE", "enforce"))
    decision = await agent.does("pay", n=20, t="x")
    assert (decision.verdict, [str(b.before) for b in decision.budgets]) == (HOLD, ["60"])


async def test_what_an_enforced_budget_stops_no_budget_in_shadow_has_counted(
    make_bench: MakeBench,
) -> None:
    rules = """budgets:
  - {name: real, of: money.pay, sum: EUR, limit: 30}
  - {name: tried, mode: shadow, of: money.pay, sum: EUR, limit: 10}
"""
    bench = make_bench(ONE + rules)
    agent = Agent(bench)
    decision = await agent.does("pay", n=20, t="x")
    assert (decision.verdict, told(bench)["would"]) == (ALLOW, "hold")
    decision = await agent.does("pay", n=20, t="x")
    assert (decision.verdict, told(bench)["would"]) == (HOLD, None)
    assert await bench.used(budget="tried") == "20"
    assert "tried" not in refusal_text(decision, None)
    assert [reason.rule for reason in decision.reasons] == ["real"]


async def test_a_chain_in_shadow_goes_on_after_a_match(make_bench: MakeBench) -> None:
    """It keeps its own state; a match is told at each call that completes it."""
    chain = "chains: [{name: c, mode: shadow, steps: [order.read, money.pay]}]\n"
    bench = make_bench(ONE + chain)
    agent = Agent(bench)
    seen = []
    for tool in ("pay", "look", "pay", "pay"):
        assert (await agent.does(tool, n=1, t="x")).verdict is ALLOW
        seen.append(told(bench)["would"])
    assert seen == [None, None, "hold", "hold"]


async def test_a_requirement_in_shadow_is_met_by_evidence(make_bench: MakeBench) -> None:
    rule = "requires: [{name: r, mode: shadow, for: money.pay, evidence: order.read}]\n"
    bench = make_bench(ONE + rule)
    agent = Agent(bench)
    await agent.does("look", t="x")
    await agent.reads()
    await agent.does("pay", n=1, t="x")
    assert told(bench)["would"] is None


# --- with a human -------------------------------------------------------------------------------------

BOTH = """
gates: [{name: real, when: 'tool == "pay"'}]
budgets: [{name: tried, mode: shadow, of: money.pay, sum: EUR, limit: 10, on_exceed: block}]
"""


async def test_a_human_sees_both_and_passes_what_is_enforced(make_bench: MakeBench) -> None:
    """The hold tells of the rule in shadow as such; the agent's texts do not; an approval passes it."""
    bench = make_bench(ONE + BOTH)
    call = bench.call("pay", '{"n": 20, "t": "x"}')
    decision = await bench.decide(call)
    assert decision.hold is not None
    assert [(r.rule, r.shadow) for r in decision.hold.reasons] == [("real", False), ("tried", True)]
    again = await bench.decide(call)
    for answer in (decision, again):
        assert "tried" not in refusal_text(answer, None)
    await bench.pipeline.desk.approve(decision.hold.id, "me")
    assert (await bench.decide(call)).verdict is ALLOW
    assert await bench.used(budget="tried") == "20"


async def test_what_was_shown_as_in_shadow_is_asked_anew(make_bench: MakeBench) -> None:
    """A human who approves has said nothing of a rule that was only in shadow."""
    gate = "  - {name: other, mode: MODE, when: 'tool == \"pay\"'}\n"
    rules = ONE + "gates:\n  - {name: real, when: 'tool == \"pay\"'}\n" + gate
    agent = Agent(make_bench(), rules.replace("MODE", "shadow"))
    decision = await agent.does("pay", n=1, t="x")
    assert decision.hold is not None
    await agent.bench.pipeline.desk.approve(decision.hold.id, "me")
    agent.under(rules.replace("MODE", "enforce"))
    anew = await agent.does("pay", n=1, t="x")
    assert (anew.verdict, anew.hold != decision.hold) == (HOLD, True)


async def test_a_repeated_call_keeps_its_verdict(make_bench: MakeBench) -> None:
    """The same bytes again are the same call: one record, nothing counted twice."""
    bench = make_bench(ONE + BOTH.replace("gates", "# gates"))
    call = bench.call("pay", '{"n": 20, "t": "x"}')
    for repeated in (False, True):
        decision = await bench.decide(call)
        assert (decision.verdict, decision.repeated) == (ALLOW, repeated)
    assert len(bench.records("decision")) == 1
    assert await bench.used(budget="tried") == "20"


async def test_a_whole_run_in_shadow_marks_everything(make_bench: MakeBench) -> None:
    bench = make_bench(ONE + BOTH, shadow=True)
    await Agent(bench).does("pay", n=20, t="x")
    record = told(bench)
    assert (record["verdict"], record["would"]) == ("allow", "block")
    assert rules_of(record, "enforce") == []


async def test_a_call_the_provider_ran_is_told_with_both(make_bench: MakeBench) -> None:
    """It could not be stopped: `would` is what all rules together would have said."""
    bench = make_bench(ONE + BOTH)
    call = bench.call("pay", '{"n": 20, "t": "x"}', executor="provider")
    await bench.pipeline.account(call, bench.who(), "key")
    record = told(bench)
    assert (record["would"], rules_of(record, "shadow")) == ("block", ["tried"])
    assert rules_of(record, "enforce") == ["real"]


# --- signals ------------------------------------------------------------------------------------------


async def test_a_signal_that_is_enforced_later_starts_by_itself(make_bench: MakeBench) -> None:
    """What it would have set in force in shadow neither acts, nor stands in its way."""
    signal = "signals: [{on: loop, mode: MODE, count: 2, within: 1h, do: {hold: '*'}}]\n"
    agent = Agent(make_bench(), ONE + signal.replace("MODE", "shadow"))
    for _ in range(3):
        assert (await agent.does("look", t="x")).verdict is ALLOW
    (row,) = await agent.bench.pipeline.signals.list()
    assert isinstance(row, SignalRow)
    assert not row.freezes
    agent.under(ONE + signal.replace("MODE", "enforce"))
    assert (await agent.does("look", t="y")).verdict is ALLOW
    assert (await agent.does("look", t="x")).verdict is HOLD


# --- files in shadow beside files that are enforced ----------------------------------------------------

type Step = tuple[str, dict[str, Any]]
PLAIN: Sequence[Step] = (
    ("unheard", {}),
    ("refund", {"n": 20, "t": "a"}),
    ("order", {"t": "a"}),
    ("refund", {"n": 50, "t": "a"}),
    ("refund", {"n": 60, "t": "a"}),
    ("refund", {"n": 90, "t": "a"}),
    ("refund", {"n": "1e3", "t": "a"}),
    ("secret", {"t": "s"}),
    ("send", {"t": "evil.example"}),
    ("Bash", {"command": "rm -rf /srv/data"}),
    ("Bash", {"command": "frobnicate --all"}),
    ("Bash", {"command": "echo hello"}),
    ("query", {"text": "SELECT 1 FROM orders"}),
    ("query", {"text": "DROP TABLE orders"}),
    ("POST pay.internal/refund", {"n": 50, "t": "b"}),
    ("POST other.internal/refund", {"n": 60, "t": "c"}),
    ("note", {}),
)


async def story(agent: Agent, steps: Sequence[Step]) -> list[Verdict]:
    verdicts = []
    for name, arguments in steps:
        if name.startswith("POST "):
            host, _, path = name.removeprefix("POST ").partition("/")
            if not agent.bench.pipeline.rules.is_call(HttpCall("POST", host, f"/{path}")):
                verdicts.append(ALLOW)  # it is nobody's call
                continue
            decision = await agent.asks(host, f"/{path}", arguments)
        else:
            decision = await agent.does(name, **arguments)
            if decision.verdict is ALLOW:
                await agent.reads("fine")
        verdicts.append(decision.verdict)
    return verdicts


@pytest.mark.parametrize(
    "file",
    [
        pytest.param("unmapped: allow", id="unmapped-allow"),
        pytest.param("unmapped: block", id="unmapped-block"),
        pytest.param("unparsed: block\nopaque: allow\ntrust: trusted", id="words"),
        pytest.param("tools: [{name: refund, effects: []}]", id="takes-a-mapping-away"),
        pytest.param("tools: [{name: unheard, effects: []}]", id="maps-what-nobody-maps"),
        pytest.param("tools: [{name: '*', effects: []}]", id="maps-everything"),
        pytest.param("tools: [{guess: '*'}]", id="guesses"),
        pytest.param(
            "tools: [{name: note, effects: [{kind: order.read, target: args.t}]}]",
            id="evidence-of-its-own",
        ),
        pytest.param(
            "tools:\n"
            "  - {name: unheard, effects: [{kind: order.read, target: '\"a\"'}]}\n"
            "  - {name: send, effects: []}",
            id="evidence-from-an-unmapped-tool",
        ),
        pytest.param(
            "tools: [{name: refund, effects: [{kind: money.refund, amount: '0.0', unit: EUR, target: args.t}]}]",
            id="a-smaller-amount",
        ),
        pytest.param(
            "tools: [{http: {method: POST, host: other.internal, path: /refund},"
            " effects: [{kind: money.refund, amount: body.n, unit: EUR, target: body.t}]}]",
            id="a-route",
        ),
        pytest.param(
            "prices: {kinds: {'*': 0}, reversibility: {reversible: 0}}", id="everything-is-free"
        ),
        pytest.param("commands: [{run: rm, effects: []}]", id="a-command-is-harmless"),
        pytest.param("statements: [{statement: drop, effects: []}]", id="a-statement-is-harmless"),
        pytest.param("commands: [{run: frobnicate, effects: []}]", id="a-command-is-known"),
        pytest.param("pass_through: pay.internal\nmodel_hosts: pay.internal", id="hosts"),
        pytest.param("gates: [{name: all, when: 'true', verdict: block}]", id="blocks-everything"),
        pytest.param(
            "budgets: [{name: none, of: '*', count: true, limit: 1, on_exceed: block}]",
            id="a-budget",
        ),
        pytest.param("chains: [{name: any, steps: ['*', '*'], on_match: block}]", id="a-chain"),
        pytest.param(
            "requires: [{name: never, for: '*', evidence: no.such, otherwise: block}]",
            id="a-requirement",
        ),
        pytest.param(
            "signals: [{on: rate, count: 2, within: 1h, do: freeze, per: fleet}]", id="a-freeze"
        ),
        pytest.param(
            "tools: [{name: note, effects: [{kind: data.read.secret}]}]", id="calls-all-secret"
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
async def test_a_file_in_shadow_changes_no_verdict(
    make_bench: MakeBench, file: str, *, first: bool
) -> None:
    """A whole session comes out as it does without the file: nothing weaker, nothing stopped."""
    alone = await story(Agent(make_bench(folder="alone"), BASE), PLAIN)
    assert {ALLOW, HOLD, BLOCK} <= set(alone)
    shadow = f"version: 1\npack: tried\nmode: shadow\n{file}\n"
    files = (shadow, BASE) if first else (BASE, shadow)
    agent = Agent(make_bench(folder="beside"), *files)
    assert await story(agent, PLAIN) == alone
    for record in agent.bench.records("decision"):
        enforced = [r for r in record["reasons"] if r["mode"] == "enforce"]
        assert not [r for r in enforced if r["file"] not in (None, *_names(files))]
        assert not any(r["rule"] in ("all", "none", "any", "never", "rate") for r in enforced)


def _names(files: Sequence[str]) -> list[str]:
    return [f"{i}.yaml" for i, text in enumerate(files) if "mode: shadow" not in text]


async def test_effects_of_files_in_shadow_stand_apart(make_bench: MakeBench) -> None:
    """A tool that only they map is unmapped for the rest; their budget counts what passes."""
    shadow = """version: 1
pack: tried
mode: shadow
tools: [{name: wire, effects: [{kind: money.wire, amount: args.n, unit: EUR, target: args.t}]}]
budgets: [{name: wires, of: money.wire, sum: EUR, limit: 30}]
"""
    agent = Agent(make_bench(), BASE.replace("tools:", "unmapped: allow\ntools:", 1), shadow)
    for n, would in ((20, None), (20, "hold")):
        assert (await agent.does("wire", n=n, t="x")).verdict is ALLOW
        record = told(agent.bench)
        assert record["would"] == would
        (effect,) = record["effects"]
        assert (effect["kind"], effect["mode"]) == ("money.wire", "shadow")
    await agent.reads("refused", is_error=True)
    (settled,) = agent.bench.records("settlement")
    assert settled["effects"][0]["kind"] == "money.wire"
    agent.under(BASE, shadow)
    assert (await agent.does("wire", n=1, t="x")).verdict is HOLD


async def test_one_action_on_two_sides_counts_once_in_shadow(make_bench: MakeBench) -> None:
    """And what a file in shadow has counted spares no enforced budget."""
    shadow = """version: 1
pack: tried
mode: shadow
tools:
  - {name: pay_out, effects: [{kind: money.refund, amount: args.n, unit: EUR, target: args.t}]}
  - {http: {method: POST, host: new.internal, path: /pay}, effects: [{kind: money.refund, amount: body.n, unit: EUR, target: body.t}]}
budgets: [{name: tried, of: money.refund, sum: EUR, limit: 500}]
"""
    base = BASE.replace("tools:", "unmapped: allow\ntools:", 1)
    base = base[: base.index("requires:")]
    agent = Agent(make_bench(), base, shadow)
    await agent.does("pay_out", n=50, t="x")
    assert (await agent.asks("new.internal", "/pay", {"n": 50, "t": "x"})).verdict is ALLOW
    assert await agent.bench.used(budget="tried") == "50"
    await agent.does("pay_out", n=60, t="x")
    assert (await agent.asks("pay.internal", "/refund", {"n": 60, "t": "x"})).verdict is ALLOW
    assert await agent.bench.used(budget="refunds") == "60"


async def test_what_enforced_gates_would_say_of_a_new_mapping_is_told(
    make_bench: MakeBench,
) -> None:
    shadow = """version: 1
pack: tried
mode: shadow
tools: [{name: note, effects: [{kind: money.refund, amount: args.n, unit: EUR, target: args.t}]}]
"""
    agent = Agent(make_bench(), shadow, BASE)
    assert (await agent.does("note", n=90, t="x")).verdict is ALLOW
    record = told(agent.bench)
    assert (record["would"], rules_of(record, "shadow")) == ("hold", ["large", "look-first"])


@pytest.mark.parametrize(
    ("tells", "shadow"),
    [
        pytest.param("", False, id="enforced"),
        pytest.param("mode: shadow\n", True, id="in-shadow"),
    ],
)
async def test_a_model_nobody_knows_the_price_of(
    make_bench: MakeBench, tells: str, *, shadow: bool
) -> None:
    """It is held for a budget of money that is enforced; for one in shadow that is only told."""
    rules = f"version: 1\n{tells}budgets: [{{name: money, of: spend, sum: USD, limit: 5}}]\n"
    bench = make_bench(rules)
    assert ("spend" in bench.pipeline.rules.enforced_spending) is not shadow
    assert "spend" in bench.pipeline.rules.spending_kinds
