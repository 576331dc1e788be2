"""The moment before a decision of a log: what shares an account with it is played as `rules replay` plays it.

What belongs here: finding the record, and telling which records before it matter. Records of other agents' sessions do only where
an account is shared by all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import InvalidOperation
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.explain.given import is_decision
from proxy.explain.lines import read_lines
from proxy.explain.listening import ListeningRules
from proxy.explain.scene import HaltingRehearsal, Logged, Scene
from proxy.model import Json
from proxy.rehearsal.declog import _Replay

type _Records = Iterable[tuple[str, Mapping[str, Json]]]


def find_in_log(path: Path, *, seq: int | None = None, hold: str | None = None) -> int:
    """Returns the number of the decision that is meant; a hold's id may be shortened to its beginning or end.

    Raises:
        ConfigurationError: there is none, or several.
    """
    found: dict[str, int] = {}
    for _, record in read_lines(path):
        if seq is not None and record.get("seq") == seq:
            if not is_decision(record):
                kind = record.get("type")
                raise ConfigurationError(f"{path}: record {seq} is a {kind}, no decision")
            return seq
        held = record.get("hold")
        if hold is not None and is_decision(record) and isinstance(held, dict):
            id_ = str(held.get("id"))
            if id_.startswith(hold) or id_.endswith(hold):
                found.setdefault(id_, int(record["seq"]))
    if seq is not None:
        raise ConfigurationError(f"{path}: there is no record {seq}")
    if len(found) != 1:
        many = f"{len(found)} holds" if found else "no hold"
        raise ConfigurationError(f"{path}: {many} '{hold}'")
    return next(iter(found.values()))


def scene_of_log(rules: ListeningRules, records: Callable[[], _Records], seq: int) -> Scene:
    """The moment before a decision of a log.

    Args:
        rules: the rules.
        records: gives (where, record) of each line, oldest first; it is asked twice.
        seq: the decision's number.

    Raises:
        ConfigurationError: there is no such record, or one does not have what its type has.
    """
    parents: dict[str, str] = {}
    target: Mapping[str, Json] | None = None
    for _, record in records():
        if record.get("seq") == seq:
            target = record
            break
        if record.get("type") == "session" and isinstance(record.get("parent"), str):
            parents[str(record.get("session"))] = record["parent"]
    if target is None:
        raise ConfigurationError(f"there is no record {seq}")
    rehearsal = HaltingRehearsal(rules)
    replay = _Replay(rehearsal)
    played = 0
    for where, record in _concerned(records(), target, parents, all_agents=_share_accounts(rules)):
        try:
            if record.get("seq") != seq:
                replay.take(record)
                played += 1
                continue
            asking = rehearsal.halted(lambda: replay.take(target), 0)
        except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
            text = f"{where}: not a record of a decision log ({type(error).__name__})"
            raise ConfigurationError(text) from error
        if asking is None:
            break
        logged = Logged(record, played, alone=played == 0 and seq > 1)
        return Scene(rehearsal, rules, asking, f"record {seq} of {record['time']}", logged)
    raise ConfigurationError(f"record {seq} makes no call")


def _concerned(
    records: Iterable[tuple[str, Mapping[str, Json]]],
    target: Mapping[str, Json],
    parents: Mapping[str, str],
    *,
    all_agents: bool,
) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """Yields the records that share an account with a decision: of its family, of its agent, or all."""
    family, agent = _root(str(target.get("session")), parents), target.get("agent")
    for where, record in records:
        session = record.get("session")
        if (
            all_agents
            or agent == record.get("agent")
            or (isinstance(session, str) and _root(session, parents) == family)
        ):
            yield where, record


def _root(session: str, parents: Mapping[str, str]) -> str:
    seen = {session}
    while (above := parents.get(session)) is not None and above not in seen:
        seen.add(above)
        session = above
    return session


def _share_accounts(rules: ListeningRules) -> bool:
    """Whether calls of other agents may count for a call: an account of the fleet, of a human, a signal to all."""
    loaded = rules.loaded
    return any(b.per in ("fleet", "human") for b in loaded.budgets) or any(
        s.per in ("fleet", "human") for s in loaded.signals
    )
