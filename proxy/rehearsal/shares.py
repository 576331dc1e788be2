"""Which records of a log may be judged apart: those that share no account.

How it works. Sessions that are related share a story; what else they share depends on the rules. Where no account is an
agent's, a human's or the fleet's, each family stands alone. One pass over the log puts together all that shares an account,
and deals these groups out to processes by their number of records. A record that is nobody's goes to all.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.lines import Line
from proxy.rehearsal.recorded import RecordingError

MOST_SHARES = 250
_ALL = 0
"""The share of a record that is nobody's alone."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who may share an account, besides a family of sessions."""

    agent: bool = False
    human: bool = False
    fleet: bool = False

    def __or__(self, other: Accounts) -> Accounts:
        return Accounts(
            self.agent or other.agent, self.human or other.human, self.fleet or other.fleet
        )


def accounts_of(rules: RuleSet) -> Accounts:
    """Returns which accounts a rule set keeps."""
    per = {budget.per for budget in rules._budgets} | {signal.per for signal in rules.signals}
    of_agents = "effect.is_new" in rules._spoken
    of_agents |= any(chain.per == "agent" for chain in rules._chains)
    of_agents |= any(signal.on == "new-host" for signal in rules.signals)
    human = "human" in per
    # An agent stands for a human who is not known.
    made = Accounts(of_agents or "agent" in per or human, human, "fleet" in per)
    return made if rules._enforced is None else made | accounts_of(rules._enforced)


class _About(msgspec.Struct):
    """Whom a record is about."""

    seq: int
    type: str
    session: str | None = None
    agent: str | None = None
    human: str | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Shares:
    """The share of each line; shares are numbered from 1."""

    of_line: bytes
    count: int

    def has(self, share: int, line: Line) -> bool:
        return self.of_line[line.number] in (_ALL, share)


def deal(lines: Iterable[Line], accounts: Accounts, workers: int) -> Shares:
    """Reads a log once, and deals its lines out.

    Raises:
        RecordingError: a line is no record.
    """
    groups = _Groups(accounts)
    of_line = array("i", (_NOBODY,))  # lines count from one
    read = msgspec.json.Decoder(_About).decode
    for line in lines:
        try:
            about = read(line.text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RecordingError(
                f"{line.where}: not a record of a decision log: {error}"
            ) from error
        of_line.extend([_NOBODY] * (line.number - len(of_line)))  # lines that are empty
        of_line.append(groups.of(about))
    return groups.dealt(of_line, min(workers, MOST_SHARES))


_NOBODY = -1


class _Groups:
    """Sessions, agents and humans, put together where they share an account."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._numbers: dict[str, int] = {}
        self._above = array("i")

    def of(self, about: _About) -> int:
        """Returns the number of someone who is in the group that a record belongs to."""
        if self._accounts.fleet:
            return self._number("")
        named: list[int] = []
        if about.session is not None:
            named.append(self._number(f"s{about.session}"))
            if about.parent is not None:
                named.append(self._number(f"s{about.parent}"))
        if about.agent is not None and self._accounts.agent:
            named.append(self._number(f"a{about.agent}"))
        if about.human is not None and self._accounts.human:
            named.append(self._number(f"h{about.human}"))
        if not named:
            return _NOBODY
        for other in named[1:]:
            self._join(named[0], other)
        return named[0]

    def dealt(self, of_line: array[int], workers: int) -> Shares:
        """Deals groups out, the largest first, each to the share that has least."""
        roots = [self._root(number) for number in range(len(self._above))]
        sizes = [0] * len(self._above)
        for number in of_line:
            if number != _NOBODY:
                sizes[roots[number]] += 1
        wanted = [root for root in range(len(sizes)) if sizes[root]]
        count = max(1, min(workers, len(wanted)))
        shares = [(0, share) for share in range(1, count + 1)]
        share_of = bytearray(len(sizes))
        for root in sorted(wanted, key=lambda root: (-sizes[root], root)):
            size, share = heapq.heappop(shares)
            share_of[root] = share
            heapq.heappush(shares, (size + sizes[root], share))
        told = (_ALL if number == _NOBODY else share_of[roots[number]] for number in of_line)
        return Shares(bytes(told), count)

    def _number(self, name: str) -> int:
        found = self._numbers.get(name)
        if found is None:
            found = self._numbers[name] = len(self._above)
            self._above.append(found)
        return found

    def _root(self, number: int) -> int:
        above = self._above
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    def _join(self, one: int, other: int) -> None:
        a, b = self._root(one), self._root(other)
        if a != b:
            self._above[max(a, b)] = min(a, b)
