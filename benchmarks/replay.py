"""What `rules replay` does in a second: a decision log and recorded sessions, on one core and on all.

Beside it, the naive way: each call of the log judged by itself in one process, without ledger, holds, settlements, origins and
chains. The log is written by the proxy's own pipeline, and then said again under other names until it is long; replayed under the
rules that it was recorded with, no verdict may change.
"""

from __future__ import annotations

import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from proxy.model import Identity, Trust, Verdict
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.declog import call_of
from proxy.rehearsal.rehearsal import Rehearsal
from proxy.rehearsal.replay import Replay

RULES = """
version: 1
pack: desk
trust: untrusted
tools:
  - {name: get_order, effects: [{kind: data.read.order, target: args.order_id}]}
  - name: refund_order
    effects:
      - {kind: money.refund, amount: args.amount, unit: EUR, target: args.order_id, reversibility: irreversible,
         settle: {ok: "!result.is_error", amount: result.json.refunded}}
  - {name: send_email, effects: [{kind: message.external, target: args.to}]}
gates:
  - {name: strangers, verdict: hold, message: Nobody here named this address.,
     when: 'effect.kind == "message.external" && origin(args.to).untrusted && !origin(args.to).user'}
budgets:
  - {name: refunds, of: money.refund, sum: EUR, limit: 150, per: session, window: 24h, on_exceed: hold}
  - {name: refunds-by-agent, of: money.refund, sum: EUR, limit: 700, per: agent, window: 24h, on_exceed: hold}
  - {name: mails, of: message.external, distinct: target, limit: 20, per: agent, window: 1h, on_exceed: hold}
chains:
  - {name: read-and-send, steps: [data.read.order, message.external], within: session, flow: observed, on_match: hold}
"""
LINES = 60_000
SESSIONS = 4_000
_SESSIONS_RECORDED = 200
_SESSIONS_AN_AGENT = 5


def measure(*, rounds: int, seconds: float) -> dict[str, float | int]:
    """Records a log, then replays it `rounds` times in each way, in turn."""
    del seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rules, log, sessions = folder / "desk.yaml", folder / "log.jsonl", folder / "sessions.jsonl"
        rules.write_text(RULES)
        write_log(log, RuleSet.load([rules]), LINES)
        write_sessions(sessions, SESSIONS)
        return _measured(rules, log, sessions, max(1, min(rounds, 3)))


def _measured(rules: Path, log: Path, sessions: Path, rounds: int) -> dict[str, float | int]:
    cores = os.process_cpu_count() or 1
    ways: dict[str, list[float]] = {}
    calls = changed = alone = 0
    for _ in range(rounds):
        for name, path, workers in (
            ("log_one_core", log, 1),
            ("log_all_cores", log, cores),
            ("sessions_one_core", sessions, 1),
            ("sessions_all_cores", sessions, cores),
        ):
            began_s = time.perf_counter()
            outcomes = [o for s in Replay([path], [rules], workers=workers) for o in s.calls]
            ways.setdefault(name, []).append(time.perf_counter() - began_s)
            if path == log:
                calls, changed = len(outcomes), sum(one.changed for one in outcomes)
        began_s = time.perf_counter()
        alone = _judge_alone(RuleSet.load([rules]), log)
        ways.setdefault("naive", []).append(time.perf_counter() - began_s)
    took_s = {name: median(times) for name, times in ways.items()}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {
        "log_lines_a_second": round(LINES / took_s["log_all_cores"]),
        "log_lines_a_second_one_core": round(LINES / took_s["log_one_core"]),
        "sessions_a_second": round(SESSIONS / took_s["sessions_all_cores"]),
        "sessions_a_second_one_core": round(SESSIONS / took_s["sessions_one_core"]),
        "ratio_to_one_core": round(took_s["log_one_core"] / took_s["log_all_cores"], 2),
        "ratio_to_one_core_sessions": round(
            took_s["sessions_one_core"] / took_s["sessions_all_cores"], 2
        ),
        "ratio_to_naive": round(took_s["log_one_core"] / took_s["naive"], 2),
        "naive_verdicts_wrong": alone,
        "verdicts_changed": changed,
        "calls": calls,
        "log_lines": LINES,
        "sessions": SESSIONS,
        "peak_mb_a_process": round(peak / 1024),
        "cores": cores,
        "rounds": rounds,
    }


def _judge_alone(rules: RuleSet, log: Path) -> int:
    """Judges each call of a log as if there were no other; returns how many verdicts that gets wrong."""
    wrong = 0
    with log.open("rb") as file:
        for line in file:
            record = json.loads(line)
            if record["type"] != "decision":
                continue
            identity = Identity(record["session"], record["agent"], Trust.CLAIMED, Trust.CLAIMED)
            found = rules.assess(call_of(record), identity)
            verdict = max((r.verdict for r in found.reasons), default=Verdict.ALLOW)
            wrong += verdict.label != record["verdict"]
    return wrong


# --- what is replayed --------------------------------------------------------------------------------
def write_log(path: Path, rules: RuleSet, lines: int) -> None:
    """Writes a log of so many lines: one that is recorded, again and again under other names."""
    records = _recorded(rules)
    first, last = (datetime.fromisoformat(records[i]["time"]) for i in (0, -1))
    seq = copy = 0
    with path.open("w") as file:
        while seq < lines:
            later = copy * (last - first + timedelta(seconds=1))
            for record in records[: lines - seq]:
                seq += 1
                file.write(json.dumps(_renamed(record, seq, copy, later), separators=(",", ":")))
                file.write("\n")
            copy += 1


def _recorded(rules: RuleSet) -> Sequence[Mapping[str, Any]]:
    """Returns the records of some sessions, as the pipeline makes them."""
    kept: list[dict[str, Any]] = []
    clock: list[Rehearsal] = []

    def sink(records: Sequence[dict[str, Any]]) -> None:
        now_ms = clock[0].now_ms if clock else 0
        at = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        kept.extend({"v": 1, "time": at, **record} for record in records)

    with Rehearsal(rules, sink=sink) as rehearsal:
        clock.append(rehearsal)
        for number in range(_SESSIONS_RECORDED):
            _play(rehearsal, number)
    return kept


def _play(rehearsal: Rehearsal, number: int) -> None:
    """One session at a help desk; the fourth refund, and a stranger's address, wait for a human."""
    session = rehearsal.session(f"s-{number}", agent=f"desk-{number // _SESSIONS_AN_AGENT}")
    session.user(f"Look at the orders A-{number}, B-{number}, C-{number}, and refund what is due.")
    for order, amount in zip("ABCD", (45, 20, 60, 45), strict=True):
        name = f"{order}-{number}"
        read = session.call("get_order", {"order_id": name})
        session.result(read, json.dumps({"total": amount, "mail": f"{order}{number}@example.net"}))
        refund = session.call("refund_order", {"order_id": name, "amount": amount})
        if refund.verdict is Verdict.HOLD and number % 2:
            refund = session.approved(refund)
        if refund.verdict is Verdict.ALLOW:
            session.result(refund, json.dumps({"refunded": amount}))
    session.call("send_email", {"to": f"A{number}@example.net", "text": "It is on its way."})


def _renamed(record: Mapping[str, Any], seq: int, copy: int, later: timedelta) -> Mapping[str, Any]:
    at = datetime.fromisoformat(record["time"]) + later
    made = {**record, "seq": seq, "time": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    for name in ("session", "agent"):
        if made.get(name) is not None:
            made[name] = f"{record[name]}.{copy}"
    if made.get("hold") is not None:
        made["hold"] = {**record["hold"], "id": f"{record['hold']['id']}.{copy}"}
    return made


def write_sessions(path: Path, sessions: int) -> None:
    with path.open("w") as file:
        for number in range(sessions):
            file.write(json.dumps({"session_id": f"s-{number}", "messages": [*_said(number)]}))
            file.write("\n")


def _said(number: int) -> Iterator[dict[str, Any]]:
    yield {"role": "user", "content": f"Refund the orders A-{number} and B-{number}, please."}
    for order, amount in zip("ABC", (45, 20, 90), strict=True):
        arguments = {"order_id": f"{order}-{number}", "amount": amount}
        function = {"name": "refund_order", "arguments": json.dumps(arguments)}
        call = {"id": f"call-{order}", "type": "function", "function": function}
        yield {"role": "assistant", "tool_calls": [call]}
        yield {"role": "tool", "tool_call_id": call["id"], "content": f'{{"refunded": {amount}}}'}
