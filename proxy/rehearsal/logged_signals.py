"""Signals, freezes and thaws of a decision log, set in force again.

What belongs here: what comes from outside the calls (a changed prompt, an alert that was posted, a human's freeze) and errors,
whose results a log does not have. What calls themselves give cause for (loops, rates, new hosts) is found anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit, Job
from proxy.model import Identity, Json
from proxy.pipeline.happenings import Untold
from proxy.pipeline.signals import Watch
from proxy.pipeline.standing import Happened, Who, frozen_row, row_of
from proxy.rehearsal.rehearsal import Rehearsal

_CHANGES = ("tools-changed", "system-changed")
_FOUND_ANEW = ("loop", "rate", "low-confidence", "new-host", "out-of-hours")


def replay_signal(rehearsal: Rehearsal, record: Mapping[str, Json], identity: Identity) -> None:
    """Lets a signal act as the rules of the replay say."""
    on = record["on"]
    if on in _FOUND_ANEW:
        return
    if on == "lifted":
        _lift(rehearsal, record)
    elif on in _CHANGES:
        _changed(rehearsal, record, identity)
    elif on == "errors":
        _failed(rehearsal, record, identity)
    elif record["event"] == "posted":
        fields = record["fields"] or {}
        try:
            rehearsal.finish(rehearsal.pipeline.signals.post({"name": on, **fields}, record["by"]))
        except ValueError:
            return  # what says whom it is about was redacted


def replay_standing(rehearsal: Rehearsal, record: Mapping[str, Json]) -> None:
    """Freezes and thaws whom a human has; a checkpoint comes with the approval that it belongs to."""
    if record["event"] == "frozen":
        row = frozen_row(record["scope"], record["by"], record["reason"], rehearsal.now_ms)
        _do(rehearsal, lambda tx, _emit: tx.put_signal(row))
    elif record["event"] == "thawed":
        rehearsal.finish(rehearsal.pipeline.signals.lift(record["scope"], None, record["by"]))


def _lift(rehearsal: Rehearsal, record: Mapping[str, Json]) -> None:
    names, _, scope = str(record["text"]).rpartition(" in ")
    for name in names.split(", "):
        rehearsal.finish(rehearsal.pipeline.signals.lift(scope, name, record["by"]))


def _changed(rehearsal: Rehearsal, record: Mapping[str, Json], identity: Identity) -> None:
    fields = {"event": record["event"]}
    if record["on"] == "tools-changed":
        fields |= {"server": record["server"] or "", "tool": record["tool"] or ""}
    happened = Happened(record["on"], record["text"] or "", fields)

    def change(tx: Transaction, emit: Emit) -> None:
        watch = Watch(tx, emit, Who.of(tx, identity), rehearsal.now_ms, Untold())
        watch.changed(rehearsal.rules, identity, happened)

    _do(rehearsal, change)


def _failed(rehearsal: Rehearsal, record: Mapping[str, Json], identity: Identity) -> None:
    """So many calls have failed: what the rules had counted then is known, each failure is not."""
    fields = record["fields"] or {}
    happened = Happened("errors", record["text"] or "", fields)
    met = {rule["name"] for rule in record["rules"]}

    def fail(tx: Transaction, emit: Emit) -> None:
        who = Who.of(tx, identity)
        told = {"name": "errors", "session": who.session, "agent": who.agent}
        for signal in rehearsal.rules.signals:
            if signal.on != "errors":
                continue
            if signal.name not in met and signal.count > fields.get("count", 0):
                continue
            if signal.holds({**told, "human": who.human or "", **fields}):
                tx.put_signal(
                    row_of(signal, happened, who.scope(signal.per), rehearsal.now_ms, "rules")
                )

    _do(rehearsal, fail)


def _do(rehearsal: Rehearsal, job: Job[None]) -> None:
    rehearsal.finish(rehearsal.pipeline.in_transaction(job))
