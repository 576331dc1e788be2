"""Signals at work: what has happened, what that sets in force, and for how long.

How it works. All is one transaction with what it belongs to: a call is counted and judged by what it set
off itself; a result that failed is counted when it is first observed; a changed definition or system prompt
is told when it is first seen. What a signal sets in force is a row in the ledger, under its name and for
whom, so that a second proxy on the same ledger acts on it with its next call. Momentary signals act on
their own call and leave no row, unless their rule says `for:`.

A human's review (an approved hold) lifts what has no `for:` for its session and agent, and what was counted
there starts anew. A freeze ends by `thaw` alone, or when its time is up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit
from proxy.model import Call, HttpCall, Identity, Json
from proxy.pipeline.happenings import Happenings
from proxy.pipeline.hosts import hosts_of
from proxy.pipeline.records import Standing, signal_record
from proxy.pipeline.standing import Happened, Who, acting_of, row_name, row_of, why_of
from proxy.policy.signals import Acting, Signal
from proxy.policy.spans import span

if TYPE_CHECKING:
    from proxy.policy.ruleset import Assessment, RuleSet

_HOST = "!host"
"""The kind under which hosts are remembered beside effects' targets; no effect's kind has a '!'."""

_NOT_CALLS = (
    "model_request",
    "mcp_resource",
    "mcp_prompt",
    "mcp_sampling",
    "mcp_elicitation",
    "unparsed",
    "opaque",
    "pass-through",
)
"""Beginnings of the kinds that stand for traffic: what repeats there is a protocol, not an agent."""


class Watch:
    """What signals say of one call, in its transaction."""

    def __init__(
        self, tx: Transaction, emit: Emit, who: Who, now_ms: int, happenings: Happenings
    ) -> None:
        self._tx = tx
        self._happenings = happenings
        self._emit = emit
        self._who = who
        self._now_ms = now_ms
        self._rows = list(tx.signals_in_force(who.scopes(), now_ms))
        self._momentary: list[Acting] = []

    def acting(self) -> list[Acting]:
        """Returns everything in force for this call."""
        return [*map(acting_of, self._rows), *self._momentary]

    def take(
        self,
        rules: RuleSet,
        call: Call,
        http: HttpCall | None,
        identity: Identity,
        assessment: Assessment,
        *,
        fresh: bool,
    ) -> bool:
        """Counts a call, and sets in force what it gives cause for; True where that is something new.

        Not `fresh`: the same call, asked about again; it was counted and told before.
        """
        if not rules.signals or call.kind.startswith(_NOT_CALLS):
            return False
        before = len(self._rows) + len(self._momentary)
        alone = assessment.known_in_shadow  # for what is enforced, nothing was called
        for signal in rules.signals:
            if alone and not signal.shadow:
                continue
            for happened in self._of_call(signal, call, http, assessment, fresh=fresh):
                self._meet(signal, happened, identity, tell=fresh)
        return len(self._rows) + len(self._momentary) > before

    def released(self, call: Call, http: HttpCall | None, assessment: Assessment) -> None:
        """A call is let through: the hosts that it speaks to are known from now on."""
        for host in hosts_of(http, [c.effect for c in assessment.effects]):
            if host:
                self._tx.note_target(self._who.agent, _HOST, host, self._now_ms)

    def failed(self, rules: RuleSet, identity: Identity | None, tool: str, side: str) -> None:
        """A result says that its call failed."""
        for signal in rules.signals:
            if signal.on != "errors":
                continue
            count = self._count(signal, side)
            if count >= signal.count:
                text = f"{count} calls failed in {span(signal.within_ms)}, the last one {tool}"
                fields = {"count": count, "tool": tool, "side": side}
                self._meet(signal, Happened("errors", text, fields), identity)

    def changed(
        self,
        rules: RuleSet,
        identity: Identity,
        happened: Happened,
        *,
        server: str | None = None,
        tool: str | None = None,
        changes: Sequence[Json] = (),
    ) -> None:
        """A definition or a system prompt is not what it was; told whether or not a rule acts on it."""
        met = [s for s in rules.signals if s.fits(happened.on) and self._holds(s, happened)]
        for signal in met:
            self._put(signal, happened)
        self._emit(
            signal_record(
                identity,
                happened.on,
                server,
                tool,
                str(happened.fields.get("event", "changed")),
                changes,
                text=happened.text,
                rules=[self._standing(s) for s in met],
            )
        )

    # --- what a call gives cause for -----------------------------------------------------------------
    def _of_call(
        self,
        signal: Signal,
        call: Call,
        http: HttpCall | None,
        assessment: Assessment,
        *,
        fresh: bool,
    ) -> Iterable[Happened]:
        base: dict[str, Json] = {"tool": call.name, "side": str(call.side)}
        if signal.on in ("loop", "rate") and fresh:
            yield from self._counted(signal, call, base)
        elif signal.on == "low-confidence":
            low = signal.is_low(call.confidence, call.arguments, call.name)
            if low is not None:
                text = f"the confidence of {call.name} is {low}, at least {signal.below} is needed"
                stated = float(call.confidence) if call.confidence is not None else None
                yield Happened(signal.on, text, {**base, "confidence": stated})
        elif signal.on == "new-host":
            effects = [charged.effect for charged in assessment.effects]
            for host in hosts_of(http, effects):
                if host and self._tx.knows_target(self._who.agent, _HOST, host):
                    continue
                named = host or "a host that cannot be told"
                text = f"{call.name} speaks to {named}, which this agent never used before"
                yield Happened(signal.on, text, {**base, "host": host})
        elif signal.hours is not None and not signal.hours.contain(self._now_ms):
            yield Happened(signal.on, f"it is outside the hours {signal.hours.text}", base)

    def _counted(self, signal: Signal, call: Call, base: dict[str, Json]) -> Iterable[Happened]:
        # By side: one action seen on the model's side and on the tool's is one call.
        key = str(call.side)
        if signal.on == "loop":
            key = f"{call.side}:{call.name}:{call.args_sha256}"
        count = self._count(signal, key)
        if count < signal.count:
            return
        within = span(signal.within_ms)
        text = f"{count} calls came in {within}"
        if signal.on == "loop":
            text = f"{call.name} was called {count} times in {within} with the same arguments"
        yield Happened(signal.on, text, {**base, "count": count})

    def _count(self, signal: Signal, key: str) -> int:
        return self._tx.count_signal(
            self._who.scope(signal.per),
            signal.name,
            key,
            self._now_ms,
            within_ms=signal.within_ms,
            most=signal.count,
        )

    # --- what that sets in force -----------------------------------------------------------------------
    def _meet(
        self, signal: Signal, happened: Happened, identity: Identity | None, *, tell: bool = True
    ) -> None:
        if not self._holds(signal, happened):
            return
        scope = self._who.scope(signal.per)
        if signal.is_momentary:
            why = why_of(signal, happened)
            self._momentary.append(Acting(signal.name, signal.actions, why, signal.shadow))
            tell = tell and self._is_news(signal, scope)
        elif any((row.scope, row.name) == (scope, row_name(signal)) for row in self._rows):
            return  # it is in force already: nothing new has happened
        else:
            self._put(signal, happened)
        if tell:
            self._emit(
                signal_record(
                    identity,
                    happened.on,
                    text=happened.text,
                    rules=[self._standing(signal)],
                    fields=happened.fields,
                    session=self._who.session,
                    agent=self._who.agent,
                )
            )

    def _is_news(self, signal: Signal, scope: str) -> bool:
        """Whether a momentary signal is told: out of hours once a day, any other with each call."""
        if signal.hours is None:
            return True
        day = signal.hours.day(self._now_ms).isoformat()
        count = self._tx.count_signal(
            scope, signal.name, f"day:{day}", self._now_ms, within_ms=_TWO_DAYS_MS, most=2
        )
        return count == 1

    def _holds(self, signal: Signal, happened: Happened) -> bool:
        who = self._who
        return signal.holds(
            {
                "name": happened.on,
                "session": who.session,
                "agent": who.agent,
                "human": who.human or "",
                **happened.fields,
            }
        )

    def _put(self, signal: Signal, happened: Happened) -> None:
        row = row_of(signal, happened, self._who.scope(signal.per), self._now_ms, "rules")
        self._tx.put_signal(row)
        if row.freezes:
            self._happenings.frozen(self._tx, row.scope, "rules", row.why)
        self._rows = [r for r in self._rows if (r.scope, r.name) != (row.scope, row.name)]
        self._rows.append(row)

    def _standing(self, signal: Signal) -> Standing:
        if signal.is_momentary:
            return Standing(
                signal.name, tuple(map(str, signal.actions)), "call", None, signal.shadow
            )
        until_ms = None if signal.for_ms is None else self._now_ms + signal.for_ms
        scope = self._who.scope(signal.per)
        return Standing(
            signal.name, tuple(map(str, signal.actions)), scope, until_ms, signal.shadow
        )


_TWO_DAYS_MS = 2 * 86_400_000
