"""What a session did, backwards, and how each of it can be undone.

What belongs here: keeping the compensating call when a result is observed, the list, and each step of running one, durable and logged. The calls themselves are made by whoever has the
credentials for them (`checkrein sessions undo --run`), never by the proxy. Undoing gives no budget back: what was used of an agent's autonomy was used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from proxy.approval import Approver, Right, check_right
from proxy.errors import HoldError
from proxy.ledger.store import SessionSummary, Transaction, UndoRow
from proxy.ledger.writer import Emit, LedgerWriter
from proxy.model import Entry, EntryState, Json, Reversibility, ToolResult
from proxy.pipeline.records import undo_record
from proxy.policy.ruleset import RuleSet
from proxy.policy.undo import UndoFault
from proxy.redact import redact, redact_text

_OPEN, _BEGUN, _DONE, _FAILED = "open", "begun", "done", "failed"
_EVENTS = {_BEGUN: (_OPEN, _FAILED), _DONE: (_BEGUN,), _FAILED: (_BEGUN,)}
"""Which step follows on which states."""


@dataclass(frozen=True, slots=True)
class Undoable:
    """One call of a session, and what can be done about it; `row` None: nothing."""

    call_key: str
    session: str
    tool: str
    at_ms: int
    effects: tuple[Entry, ...]
    row: UndoRow | None
    why: str  # it cannot be undone, or not by itself

    @property
    def runs(self) -> bool:
        """Whether `--run` makes the call."""
        return self.row is not None and not self.why and self.row.state in (_OPEN, _FAILED)


def keep_undo(
    tx: Transaction, rules: RuleSet, entry: Entry, arguments: Json, result: ToolResult, now_ms: int
) -> None:
    """Keeps the compensating call of a call whose result shows that it was done."""
    undo = rules.undo_of(entry.effect.rule)
    if undo is None or tx.undo(entry.call_key) is not None:
        return
    row = UndoRow(entry.call_key, entry.session, entry.agent, entry.name, undo.way, now_ms)
    try:
        call = undo.fill(arguments, result)
    except UndoFault as fault:
        tx.put_undo(replace(row, fault=redact_text(f"cannot be made of the result: {fault}")))
        return
    headers: dict[str, str] = call.pop("headers", {})
    shown = redact(call)
    named = {k: v for k, v in headers.items() if v.startswith("env:")}
    stated = {k: v for k, v in headers.items() if k not in named}
    if shown != call or redact(stated) != stated:
        row = replace(row, fault="a value in it looks like a secret and was not kept; undo by hand")
        headers = named
    tx.put_undo(replace(row, call={**shown, "headers": headers} if headers else shown))


class UndoDesk:
    """Lists what can be undone, and notes what was."""

    def __init__(self, writer: LedgerWriter, now_ms: Callable[[], int]) -> None:
        self._writer = writer
        self._now_ms = now_ms

    async def list(self, session: str) -> tuple[Undoable, ...]:
        """Returns a session's calls and its sub-sessions', the newest first."""

        def read(tx: Transaction, _emit: Emit) -> tuple[Undoable, ...]:
            sessions = _below(session, tx.sessions(limit=100_000))
            rows = {row.call_key: row for row in tx.undos_of(sessions)}
            calls: dict[str, list[Entry]] = {}
            for name in sessions:
                for entry in tx.session_entries(name):
                    if entry.state is not EntryState.RELEASED:
                        calls.setdefault(entry.call_key, []).append(entry)
            made = [_undoable(key, entries, rows.get(key)) for key, entries in calls.items()]
            return tuple(sorted(made, key=lambda one: one.at_ms, reverse=True))

        return await self._writer.run(read)

    async def note(
        self,
        call_key: str,
        event: str,
        person: Approver,
        *,
        again: bool = False,
        status: int | None = None,
        error: str | None = None,
    ) -> UndoRow:
        """Notes a step: `begun` ahead of the call, `done` or `failed` behind it.

        Raises:
            HoldError: there is nothing to undo, it was undone, or it was begun and nobody knows how it ended.
        """
        check_right(person, Right.UNDO)

        def step(tx: Transaction, emit: Emit) -> UndoRow:
            row = tx.undo(call_key)
            if row is None or row.fault:
                raise HoldError(f"undo {call_key[:12]}: there is no call to make")
            if row.state not in _EVENTS.get(event, ()) and not (again and event == _BEGUN):
                raise HoldError(
                    f"undo {call_key[:12]} is {row.state} (by {row.by or 'nobody'}); it cannot be {event}"
                )
            row = replace(
                row, state=event, by=person.name, changed_at_ms=self._now_ms(), error=error
            )
            tx.put_undo(row)
            emit(undo_record(row, event, person.name, status, error))
            return row

        return await self._writer.run(step)


def _undoable(key: str, entries: Sequence[Entry], row: UndoRow | None) -> Undoable:
    first = entries[0]
    why = ""
    if row is None:
        if all(e.effect.reversibility is Reversibility.IRREVERSIBLE for e in entries):
            why = "it cannot be undone"
        elif any(e.state is EntryState.RESERVED for e in entries):
            why = "its result was not seen yet; look whether it was done, and undo it by hand"
        else:
            why = "no rule says how; undo it by hand"
    elif row.fault:
        why = row.fault
    elif row.way == "tool":
        why = "a call for the agent, or for a human, to make"
    elif row.state == _DONE:
        why = f"undone by {row.by}"
    elif row.state == _BEGUN:
        why = f"begun by {row.by}, and nobody knows how it ended: look, then --again"
    return Undoable(key, first.session, first.name, first.reserved_at_ms, tuple(entries), row, why)


def _below(session: str, sessions: Sequence[SessionSummary]) -> list[str]:
    children: dict[str, list[str]] = {}
    for one in sessions:
        if one.parent is not None:
            children.setdefault(one.parent, []).append(one.id)
    made, left = [], [session]
    while left:
        name = left.pop()
        if name not in made:
            made.append(name)
            left += children.get(name, [])
    return made
