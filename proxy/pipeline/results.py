"""Results on their way back: each settles what its call had reserved, once.

Histories are sent again at every turn, so most results have been seen: those cost a look-up in a
bounded set, not a transaction. A result settles the entries of the call with that id *and* argument
digest in the same session. A provider may use an id again for an equal call; then the n-th result in
the history belongs to the n-th call, and where the numbers do not fit, the entry is committed:
nothing is released on doubt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial

from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit, LedgerWriter
from proxy.model import (
    Entry,
    EntryState,
    Identity,
    Json,
    Settlement,
    Side,
    Speaker,
    ToolResult,
    derived_id,
)
from proxy.pipeline.judge import RulesInForce
from proxy.pipeline.reading import Reader, ReadText
from proxy.pipeline.records import settlement_record
from proxy.pipeline.signals import Watch
from proxy.pipeline.standing import Who
from proxy.pipeline.story import Story
from proxy.pipeline.undoing import keep_undo
from proxy.wire.codec import ParsedRequest

type _Seen = tuple[str, str, str, str | None, int, int]
"""(session, agent, call id, arguments' digest, which of equal calls, hash of the text)."""

_SHARED = "several calls share this id and these arguments; not released on doubt"
_ANY_TEXT = 0
_REMEMBERED = 65_536
_ARGUMENTS = 4_096


class Results:
    """Settles the ledger from observed results."""

    def __init__(
        self,
        in_force: RulesInForce,
        writer: LedgerWriter,
        story: Story,
        reader: Reader,
        now_ms: Callable[[], int],
    ) -> None:
        self._in_force = in_force
        self._writer = writer
        self._story = story
        self._reader = reader
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
        fresh, shown = self._fresh(identity, results)
        if not fresh:
            return
        read = [await self._reader.read(result.text) for _, result in fresh]
        await self._writer.run(partial(self._observe_in, identity, fresh, shown, read))
        self._remember(fresh)

    async def observe_texts(self, identity: Identity, request: ParsedRequest) -> None:
        """Takes in what user and system say in a model request."""
        new = [
            (mark, speaker, text)
            for speaker, text in _said(request)
            if text and (mark := _mark(identity, speaker, text)) not in self._seen
        ]
        if not new:
            return
        read = [(speaker, text, await self._reader.read(text, speaker)) for _, speaker, text in new]
        await self._writer.run(
            lambda tx, _emit: self._story.said(tx, identity, read, self._now_ms())
        )
        for mark, _, _ in new:
            self._seen[mark] = None

    async def observe_http(self, key: str, result: ToolResult, *, certain: bool = True) -> None:
        """Settles the entries of an HTTP call, or those it is bound to, by the API's own answer.

        Not `certain`: an answer that leaves open whether it was done (a 500, a gateway's timeout).
        """
        doubt = None if certain else "the API failed in the middle; not released on doubt"
        read = await self._reader.read(result.text)

        def settle(tx: Transaction, emit: Emit) -> None:
            for entry in tx.entries_of_key(key):
                self._settle_one(tx, emit, entry, result, "http-result", doubt)
            released = tx.released_call(key)
            if released is None:
                return
            rules, now_ms = self._in_force.rules, self._now_ms()
            is_news = not certain or self._story.observed(
                tx, rules, released.family, released, result, read, now_ms
            )
            if result.is_error and is_news:
                who = Who.of_released(released)
                watch = Watch(tx, emit, who, now_ms, self._in_force.happenings)
                watch.failed(rules, None, released.tool, str(released.side))

        await self._writer.run(settle)

    async def settle_amounts(
        self, key: str, amounts: Mapping[str, Decimal] | None, why: str, fault: str | None
    ) -> None:
        """Commits a key's entries with their real amounts by kind; None releases them."""

        def settle(tx: Transaction, emit: Emit) -> None:
            for entry in tx.entries_of_key(key):
                if entry.state is not EntryState.RESERVED:
                    continue
                settlement = (
                    Settlement(ok=False)
                    if amounts is None
                    else Settlement(ok=True, amount=amounts.get(entry.effect.kind))
                )
                settled = tx.settle(entry.id, settlement, self._now_ms())
                emit(settlement_record(settled, why, fault))

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

    def _fresh(
        self, identity: Identity, results: Sequence[ToolResult]
    ) -> tuple[list[tuple[_Seen, ToolResult]], dict[tuple[str, str | None], int]]:
        """Returns the results not seen before, and how many each call has in this history."""
        fresh: list[tuple[_Seen, ToolResult]] = []
        shown: dict[tuple[str, str | None], int] = {}
        for result in results:
            call_id = result.call_id
            if call_id is None and result.name and result.args_sha256:
                call_id = derived_id(result.name, result.args_sha256)  # as the ledger named it
            if call_id is None:
                continue  # a legacy function result names no call: its entry is committed in time
            name = (call_id, result.args_sha256)
            shown[name] = shown.get(name, 0) + 1
            # A result that is told otherwise than before is news: it is what the model reads now.
            text = hash((result.text, result.is_error))
            seen = (identity.session, identity.agent, *name, shown[name] - 1, text)
            if seen not in self._seen:
                fresh.append((seen, result))
        return fresh, shown

    def _remember(self, fresh: Sequence[tuple[_Seen, ToolResult]]) -> None:
        for seen, _result in fresh:
            self._seen[seen] = None
            self._seen[(*seen[:5], _ANY_TEXT)] = None
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def _observe_in(
        self,
        identity: Identity,
        fresh: Sequence[tuple[_Seen, ToolResult]],
        shown: Mapping[tuple[str, str | None], int],
        read: Sequence[ReadText],
        tx: Transaction,
        emit: Emit,
    ) -> None:
        rules = self._in_force.rules
        family = tx.family_of(identity.session, identity.parent)
        for (seen, result), text in zip(fresh, read, strict=True):
            session, agent, call_id, digest, nth, _ = seen
            found = tx.entries_of_call(session=session, call_id=call_id, args_sha256=digest)
            # A session's name can be claimed: what one agent reports settles no other's account.
            entries = [entry for entry in found if entry.agent == agent]
            self._settle_nth(tx, emit, entries, nth, shown[call_id, digest], result)
            calls = tx.released_calls(
                session=session, agent=agent, call_id=call_id, args_sha256=digest
            )
            released = calls[min(nth, len(calls) - 1)] if calls else None
            now_ms = self._now_ms()
            is_news = self._story.observed(tx, rules, family, released, result, text, now_ms)
            # Clients shorten old results: a failure that is told in other words is no second one.
            told_before = (*seen[:5], _ANY_TEXT) in self._seen
            if result.is_error and is_news and not told_before and rules.signals:
                tool = released.tool if released is not None else result.name or "a tool"
                side = str(released.side if released is not None else Side.MODEL)
                watch = Watch(tx, emit, Who.of(tx, identity), now_ms, self._in_force.happenings)
                watch.failed(rules, identity, tool, side)

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
        rules = self._in_force.rules_at(entry.reserved_at_ms)
        settlement = rules.settle(entry.effect.rule, arguments, result)
        if settlement.ok is False and doubt is not None:
            settlement = replace(settlement, ok=None, amount=None, fault=doubt)
        settled = tx.settle(entry.id, settlement, self._now_ms())
        emit(settlement_record(settled, why, settlement.fault))
        if settlement.ok is not False and not result.is_error:
            keep_undo(tx, rules, entry, arguments, result, self._now_ms())


def _said(request: ParsedRequest) -> Sequence[tuple[Speaker, str]]:
    """Returns what system and user say in a request: how it opens, and the newest message."""
    system = request.system_text
    first = request.opening.removeprefix(system).strip() if system else request.opening
    told_apart = first != request.opening or not system
    return (
        (Speaker.SYSTEM, system),
        (Speaker.USER, first if told_apart else ""),
        (Speaker.USER, request.user_text),
    )


def _mark(identity: Identity, speaker: Speaker, text: str) -> _Seen:
    return (identity.session, identity.agent, f"{speaker}:{len(text)}", None, 0, hash(text))
