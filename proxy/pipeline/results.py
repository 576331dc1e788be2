"""Results on their way back: each settles what its call had reserved, once.

Histories are sent again at every turn, so most results have been seen: those cost a look-up in a
bounded set, not a transaction. A result settles the entries of the call with that id *and* argument
digest in the same session. A provider may use an id again for an equal call; then the n-th result in
the history belongs to the n-th call, and where the numbers do not fit, the entry is committed:
nothing is released on doubt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit, LedgerWriter
from proxy.model import Entry, EntryState, Identity, Json, Settlement, ToolResult, derived_id
from proxy.pipeline.judge import RulesInForce
from proxy.pipeline.records import settlement_record

type _Seen = tuple[str, str, str, str | None, int]

_SHARED = "several calls share this id and these arguments; not released on doubt"
_REMEMBERED = 65_536
_ARGUMENTS = 4_096


class Results:
    """Settles the ledger from observed results."""

    def __init__(
        self, in_force: RulesInForce, writer: LedgerWriter, now_ms: Callable[[], int]
    ) -> None:
        self._in_force = in_force
        self._writer = writer
        self._now_ms = now_ms
        self._seen: OrderedDict[_Seen, None] = OrderedDict()
        self._arguments: OrderedDict[str, Json] = OrderedDict()

    def released(self, key: str, arguments: Json) -> None:
        """Keeps a released call's arguments for the settle expressions that read them."""
        self._arguments[key] = arguments
        if len(self._arguments) > _ARGUMENTS:
            self._arguments.popitem(last=False)

    async def observe(self, identity: Identity, results: Sequence[ToolResult]) -> None:
        """Settles what these results, a whole history's, say something new about."""
        fresh: list[tuple[_Seen, ToolResult]] = []
        occurrences: dict[tuple[str, str | None], int] = {}
        for result in results:
            call_id = result.call_id
            if call_id is None and result.name and result.args_sha256:
                call_id = derived_id(result.name, result.args_sha256)  # as the ledger named it
            if call_id is None:
                continue  # a legacy function result names no call: its entry is committed in time
            name = (call_id, result.args_sha256)
            nth = occurrences[name] = occurrences.get(name, -1) + 1
            seen = (identity.session, identity.agent, *name, nth)
            if seen not in self._seen:
                fresh.append((seen, result))
        if not fresh:
            return

        def settle(tx: Transaction, emit: Emit) -> None:
            for (session, agent, call_id, digest, nth), result in fresh:
                found = tx.entries_of_call(session=session, call_id=call_id, args_sha256=digest)
                # A session's name can be claimed: what one agent reports settles no other's account.
                entries = [entry for entry in found if entry.agent == agent]
                self._settle_nth(tx, emit, entries, nth, occurrences[call_id, digest] + 1, result)

        await self._writer.run(settle)
        for seen, _result in fresh:
            self._seen[seen] = None
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    async def observe_http(self, key: str, result: ToolResult, *, certain: bool = True) -> None:
        """Settles the entries of an HTTP call, or those it is bound to, by the API's own answer.

        Not `certain`: an answer that leaves open whether it was done (a 500, a gateway's timeout).
        """
        doubt = None if certain else "the API failed in the middle; not released on doubt"

        def settle(tx: Transaction, emit: Emit) -> None:
            for entry in tx.entries_of_key(key):
                self._settle_one(tx, emit, entry, result, "http-result", doubt)

        await self._writer.run(settle)

    async def commit(self, key: str, why: str) -> None:
        """Commits what was reserved under a key (a provider's own call has run already)."""

        def commit(tx: Transaction, emit: Emit) -> None:
            for entry in tx.entries_of_key(key):
                if entry.state is EntryState.RESERVED:
                    settled = tx.settle(entry.id, Settlement(ok=None), self._now_ms())
                    emit(settlement_record(settled, why))

        await self._writer.run(commit)

    async def commit_due(self) -> int:
        """Commits what nobody has seen a result of in time; returns how many entries."""

        def sweep(tx: Transaction, emit: Emit) -> int:
            entries = tx.commit_due(self._now_ms())
            for entry in entries:
                emit(settlement_record(entry, "time"))
            return len(entries)

        return await self._writer.run(sweep)

    def _settle_nth(
        self,
        tx: Transaction,
        emit: Emit,
        entries: Sequence[Entry],
        nth: int,
        shown: int,
        result: ToolResult,
    ) -> None:
        keys = list(dict.fromkeys(entry.call_key for entry in entries))
        if nth >= len(keys):
            return
        doubt = None if shown == len(keys) else _SHARED
        for entry in entries:
            if entry.call_key == keys[nth]:
                self._settle_one(tx, emit, entry, result, "result", doubt)

    def _settle_one(
        self,
        tx: Transaction,
        emit: Emit,
        entry: Entry,
        result: ToolResult,
        why: str,
        doubt: str | None,
    ) -> None:
        if entry.state is not EntryState.RESERVED:
            return
        arguments = self._arguments.get(entry.call_key)
        settlement = self._in_force.rules.settle(entry.effect.rule, arguments, result)
        if settlement.ok is False and doubt is not None:
            settlement = replace(settlement, ok=None, amount=None, fault=doubt)
        settled = tx.settle(entry.id, settlement, self._now_ms())
        emit(settlement_record(settled, why, settlement.fault))
