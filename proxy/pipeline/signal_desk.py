"""The operator's side of signals: what is in force, freeze and thaw, and what is posted from outside.

Each step is one transaction, durable and logged before it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from proxy.ledger.store import FROZEN_BY_HAND, SignalRow, Transaction
from proxy.ledger.writer import Emit, LedgerWriter
from proxy.model import Hold, Json
from proxy.pipeline.desk import HoldDesk
from proxy.pipeline.records import Standing, freeze_record, signal_record
from proxy.pipeline.standing import Happened, Who, frozen_row, row_of
from proxy.policy.schema import SIGNALS
from proxy.policy.signals import Action, Signal

if TYPE_CHECKING:
    from proxy.pipeline.judge import RulesInForce

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_SUBJECTS = ("session", "agent", "human")
_MOST_CHARS = 256
FREEZE_NAME = "freeze"
"""How a human's freeze is called where signals are listed and lifted."""


class SignalDesk:
    """Takes signals from people and from other systems."""

    def __init__(
        self,
        in_force: RulesInForce,
        writer: LedgerWriter,
        desk: HoldDesk,
        now_ms: Callable[[], int],
    ) -> None:
        self._in_force = in_force
        self._writer = writer
        self._desk = desk
        self._now_ms = now_ms
        desk.freeze = self._freeze_session_in

    async def list(self) -> tuple[SignalRow, ...]:
        """Returns everything in force, for whomever."""
        now_ms = self._now_ms()
        return await self._writer.run(lambda tx, _emit: tx.all_signals(now_ms))

    async def of_session(self, session: str) -> tuple[SignalRow, ...]:
        """Returns what is in force for a session's calls."""
        now_ms = self._now_ms()

        def read(tx: Transaction, _emit: Emit) -> tuple[SignalRow, ...]:
            return tx.signals_in_force(_who(tx, session).scopes(), now_ms)

        return await self._writer.run(read)

    async def freeze(self, session: str, by: str, reason: str | None) -> SignalRow | None:
        """Stops every call of a session and of its sub-sessions, those that wait too.

        None where it was never seen.
        """

        def freeze(tx: Transaction, emit: Emit) -> tuple[SignalRow, tuple[Hold, ...]] | None:
            if tx.agent_of(session) is None:
                return None
            scope = _who(tx, session).scope("session")
            return self._freeze_in(tx, emit, scope, session, by, reason)

        done = await self._writer.run(freeze)
        if done is None:
            return None
        row, ended = done
        self._desk.wake(*ended)
        return row

    def _freeze_session_in(
        self, tx: Transaction, emit: Emit, session: str, by: str, reason: str | None
    ) -> tuple[Hold, ...]:
        scope = _who(tx, session).scope("session")
        return self._freeze_in(tx, emit, scope, session, by, reason)[1]

    def _freeze_in(
        self,
        tx: Transaction,
        emit: Emit,
        scope: str,
        session: str | None,
        by: str,
        reason: str | None,
    ) -> tuple[SignalRow, tuple[Hold, ...]]:
        """Sets a freeze in force and ends what waits under it: a kill switch is for calls that are held, too."""
        row = frozen_row(scope, by, reason, self._now_ms())
        tx.put_signal(row)
        what, _, named = scope.partition(":")
        agent = named if what == "agent" else None
        if session is not None:
            agent = tx.agent_of(session)
        emit(freeze_record(session, agent, "frozen", scope=scope, by=by, reason=reason))
        self._in_force.happenings.frozen(tx, scope, by, reason)

        def is_meant(hold: Hold) -> bool:
            if what == "session":
                return tx.family_of(hold.session, tx.parent_of(hold.session)) == named
            held = {"agent": hold.agent, "human": hold.human}
            return what == "fleet" or held.get(what) == named

        said = f"frozen: {reason}" if reason else "frozen"
        return row, self._desk.end_in(tx, emit, is_meant, by, said)

    async def freeze_scope(self, scope: str, by: str, reason: str | None) -> SignalRow:
        """Stops every call of an agent, a human's agents or the fleet: "agent:bot", "fleet".

        Raises:
            ValueError: it is no scope.
        """
        what, _, named = scope.partition(":")
        is_fleet = scope == "fleet"
        if not is_fleet and (what not in _SUBJECTS or not _is_name(named)):
            raise ValueError(f"{scope!r} is not session:S, agent:A, human:H or fleet")

        def freeze(tx: Transaction, emit: Emit) -> tuple[SignalRow, tuple[Hold, ...]]:
            session = named if what == "session" else None
            at = _who(tx, session).scope("session") if session is not None else scope
            return self._freeze_in(tx, emit, at, session, by, reason)

        row, ended = await self._writer.run(freeze)
        self._desk.wake(*ended)
        return row

    async def thaw(
        self, session: str, by: str, reason: str | None
    ) -> tuple[Sequence[str], tuple[SignalRow, ...]] | None:
        """Ends all that is in force for a session alone: (what was lifted, what stands for others too).

        None where it was never seen.
        """

        def thaw(tx: Transaction, emit: Emit) -> tuple[Sequence[str], tuple[SignalRow, ...]] | None:
            agent = tx.agent_of(session)
            if agent is None:
                return None
            who = _who(tx, session)
            scope = who.scope("session")
            lifted = self._lift_all(tx, scope, by, reason)
            emit(
                freeze_record(
                    session, agent, "thawed", scope=scope, by=by, reason=reason, lifted=lifted
                )
            )
            return lifted, tx.signals_in_force(who.scopes(), self._now_ms())

        return await self._writer.run(thaw)

    async def lift(self, scope: str, name: str | None, by: str) -> Sequence[str]:
        """Ends one signal in a scope such as "agent:bot" or "fleet", or all; returns their names."""

        def lift(tx: Transaction, emit: Emit) -> Sequence[str]:
            lifted = self._lift_all(tx, scope, by, name=name)
            what, _, named = scope.partition(":")
            session = named if what == "session" else None
            agent = named if what == "agent" else None
            if lifted:
                text = f"{', '.join(lifted)} in {scope}"
                emit(
                    signal_record(
                        None,
                        "lifted",
                        event="lifted",
                        text=text,
                        session=session,
                        agent=agent,
                        by=by,
                    )
                )
            return lifted

        return await self._writer.run(lift)

    async def post(self, body: Mapping[str, Json], by: str) -> dict[str, Json]:
        """Takes a signal from outside: matches it with the rules, logs it, answers what that set off.

        Raises:
            ValueError: it has no name, or says of nobody whom it is about.
        """
        name = _checked(body)
        fields = {key: value for key, value in body.items() if key != "name"}

        def post(tx: Transaction, emit: Emit) -> dict[str, Json]:
            now_ms = self._now_ms()
            subjects = _Subjects.of(tx, body)
            told = Happened(name, _said(name, body), fields)
            known = {"session": "", "agent": "", "human": "", **fields, "name": name}
            if subjects.who is not None:
                known = {**known, "agent": subjects.who.agent}
            standing: list[Standing] = []
            for signal in self._in_force.rules.signals:
                if signal.on in SIGNALS or not signal.fits(name) or not signal.holds(known):
                    continue
                scope = subjects.scope(signal.per)
                row = row_of(signal, told, scope, now_ms, "posted")
                tx.put_signal(row)
                if row.freezes:
                    self._in_force.happenings.frozen(tx, row.scope, by, row.why)
                standing.append(_standing(signal, row))
            record = signal_record(
                None,
                name,
                event="posted",
                text=told.text,
                rules=standing,
                fields=fields,
                session=subjects.session,
                agent=subjects.agent,
                by=by,
            )
            emit(record)
            return {
                "name": name,
                "session": subjects.session,
                "agent": subjects.agent,
                "known": subjects.is_known,
                "in_force": record["rules"],
            }

        return await self._writer.run(post)

    def _lift_all(
        self,
        tx: Transaction,
        scope: str,
        by: str,
        reason: str | None = None,
        *,
        name: str | None = None,
    ) -> Sequence[str]:
        wanted = FROZEN_BY_HAND if name == FREEZE_NAME else name
        lifted: list[str] = []
        froze = False
        for row in tx.signals_in_force((scope,), self._now_ms()):
            if wanted in (None, row.name) and tx.lift_signal(scope, row.name):
                froze = froze or row.freezes
                lifted.append(FREEZE_NAME if row.name == FROZEN_BY_HAND else row.name)
        if lifted:
            tx.forget_counts(scope)
        if froze:
            self._in_force.happenings.thawed(tx, scope, by, reason)
        return lifted


class _Subjects:
    """Whom a posted signal is about, as far as it says and the ledger knows."""

    def __init__(
        self, session: str | None, agent: str | None, human: str | None, who: Who | None
    ) -> None:
        self.session = session
        self.agent = agent
        self.who = who
        self.is_known = who is not None
        self._human = human
        named = (
            f"session:{session}" if session is not None else None,
            f"agent:{agent}" if agent is not None else None,
            f"human:{human}" if human is not None else None,
        )
        self._named = next((scope for scope in named if scope is not None), "fleet")

    @classmethod
    def of(cls, tx: Transaction, body: Mapping[str, Json]) -> _Subjects:
        session, agent, human = (body.get(key) for key in _SUBJECTS)
        if session is None:
            return cls(None, agent, human, None)
        seen = tx.agent_of(session)
        who = _who(tx, session) if seen is not None else None
        return cls(who.family if who is not None else session, agent or seen, human, who)

    def scope(self, per: str) -> str:
        """Returns whom a rule acts on: whom it asks for, else the first that the signal names."""
        if per == "fleet":
            return "fleet"
        if per == "agent" and self.agent is not None:
            return f"agent:{self.agent}"
        if per == "human" and self._human is not None:
            return f"human:{self._human}"
        return self._named


def _who(tx: Transaction, session: str) -> Who:
    family = tx.family_of(session, tx.parent_of(session))
    return Who(session, family, tx.agent_of(session) or "")


def _checked(body: Mapping[str, Json]) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("'name' must be a signal's name, such as siem.alert")
    if name in SIGNALS:
        raise ValueError(f"'{name}' is a signal that checkrein finds itself; post another name")
    for key in _SUBJECTS:
        value = body.get(key)
        if value is not None and not _is_name(value):
            raise ValueError(f"{key!r} must be text of at most {_MOST_CHARS} printable characters")
    if body.get("fleet") not in (None, True):
        raise ValueError("'fleet' can only be true")
    if not any(body.get(key) for key in (*_SUBJECTS, "fleet")):
        raise ValueError("say whom it is about: 'session', 'agent', 'human' or 'fleet': true")
    return name


def _is_name(value: Json) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= _MOST_CHARS


def _said(name: str, body: Mapping[str, Json]) -> str:
    """What the agent may read of it: that it was raised, and its `message`, where it has one."""
    message = body.get("message")
    said = f": {message[:200]}" if isinstance(message, str) and message.strip() else ""
    return f"{name} was raised from outside{said}"


def _standing(signal: Signal, row: SignalRow) -> Standing:
    actions = tuple(str(Action(a.verb, a.name, a.by)) for a in signal.actions)
    return Standing(signal.name, actions, row.scope, row.until_ms, signal.shadow)
