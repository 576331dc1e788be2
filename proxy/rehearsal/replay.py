"""Recorded files through the rules, on all cores: what rules would have said, beside what was said or other rules say.

How it works. The first line says what the files are. Sessions that share no ledger are independent: their lines go to
processes in batches, a few at a time, and the answers come out in the files' order. A log's records are dealt out to
processes by the accounts they share (`shares.py`); each process reads the log itself, and its outcomes wait on disk until
all is judged (`spill.py`). So memory does not grow with the files, and the same files give the same answer on any machine.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, closing
from ctypes import Array, c_uint64
from dataclasses import dataclass, field, replace
from itertools import islice, repeat
from multiprocessing.sharedctypes import RawArray
from pathlib import Path

from proxy.model import Json
from proxy.policy.load import load_paths
from proxy.policy.modes import as_enforced
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.declog import LogReplay
from proxy.rehearsal.lines import Line, Lines
from proxy.rehearsal.recorded import RecordedSession, RecordingError, read_object, read_session
from proxy.rehearsal.rehearsal import Rehearsal
from proxy.rehearsal.sessions import (
    BY_ITSELF,
    CallOutcome,
    Ledgers,
    Manner,
    SessionOutcome,
    rehearse_sessions,
)
from proxy.rehearsal.shares import Shares, accounts_of, deal
from proxy.rehearsal.spill import Spill, read_spills

_BATCH_LINES = 8
_BATCHES_A_WORKER = 3
_SMALL_BYTES = 1 << 20
"""Below this a second process costs more than it saves: each loads the rules for itself."""
_TOLD_EVERY_S = 0.2
_TOLD_LINES = 64

type Told = Callable[[float], None]
"""Is told how much of the work is done, from 0 to 1."""


@dataclass(slots=True)
class Replay:
    """What is to be replayed, and how; iterate over it for the outcomes."""

    paths: Sequence[Path]
    rules: Sequence[Path]
    against: Sequence[Path] | None = None  # other rules; None: what a log says, of sessions nothing
    manner: Manner = BY_ITSELF  # of sessions: which ledgers, which agent; a log has its own
    workers: int | None = None  # by default as many as there are cores, one for small files
    told: Told = lambda share: None
    is_log: bool | None = None  # known once it has begun
    torn: str | None = None  # where a line was not finished, known at the end
    loaded: list[RuleSet] = field(default_factory=list)  # `rules`, then `against`

    def __iter__(self) -> Iterator[SessionOutcome]:
        """Yields each session, in the order in which the files have them, or their first calls.

        Raises:
            RecordingError: a line cannot be read; of sessions, what came before it has been yielded.
            RuleErrors: rules do not load.
        """
        self.loaded = _load(self._sets(), self.manner)
        lines = Lines(self.paths)
        first = next(iter(lines), None)
        self.torn = lines.torn
        if first is None:
            return
        self.is_log = _is_log(read_object(first.text, first.where))
        if self.is_log:
            yield from self._of_log(lines)
        else:
            yield from self._of_sessions(lines)
        self.torn = lines.torn
        self.told(1.0)

    def _sets(self) -> list[Sequence[Path]]:
        return [self.rules] if self.against is None else [self.rules, self.against]

    def _processes(self, lines: Lines) -> int:
        if self.workers is not None:
            return self.workers
        return 1 if lines.size_bytes < _SMALL_BYTES else _cores()

    # --- sessions ------------------------------------------------------------------------------------
    def _of_sessions(self, lines: Lines) -> Iterator[SessionOutcome]:
        total = max(1, lines.size_bytes)
        processes = self._processes(lines)
        if processes <= 1 or self.manner.ledgers is Ledgers.ONE:
            made = _sessions(self.loaded, map(_session, lines), self.manner)
        else:
            made = self._in_processes(lines, processes)
        for outcome in made:
            yield outcome
            self.told(min(1.0, lines.read_bytes / total))

    def _in_processes(self, lines: Lines, processes: int) -> Iterator[SessionOutcome]:
        left = iter(lines)
        waiting: deque[Future[_Answer]] = deque()
        with ExitStack() as stack:
            pool = ProcessPoolExecutor(
                processes, _CONTEXT, _begin, (self._sets(), self.manner, None)
            )
            stack.enter_context(pool)
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)
            while True:
                while len(waiting) < processes * _BATCHES_A_WORKER:
                    batch = tuple(islice(left, _BATCH_LINES))
                    if not batch:
                        break
                    waiting.append(pool.submit(_work_batch, batch))
                if not waiting:
                    return
                outcomes, fault = waiting.popleft().result()
                yield from outcomes
                if fault is not None:
                    raise RecordingError(fault)

    # --- a decision log --------------------------------------------------------------------------------
    def _of_log(self, lines: Lines) -> Iterator[SessionOutcome]:
        accounts = accounts_of(self.loaded[0])
        for other in self.loaded[1:]:
            accounts |= accounts_of(other)
        shares = deal(lines, accounts, self._processes(lines))
        with tempfile.TemporaryDirectory(prefix="checkrein-replay-") as folder:
            spills = [Path(folder) / str(share) for share in range(1, shares.count + 1)]
            if shares.count == 1:
                _replay_share(self.loaded, lines, shares, 1, spills[0], self._told_lines(shares))
            else:
                self._shares_in_processes(shares, spills)
            yield from read_spills(spills)

    def _told_lines(self, shares: Shares) -> Callable[[int], None]:
        total = len(shares.of_line)
        return lambda done: self.told(done / total)

    def _shares_in_processes(self, shares: Shares, spills: Sequence[Path]) -> None:
        done = RawArray(c_uint64, shares.count + 1)
        total = len(shares.of_line) * shares.count
        with ExitStack() as stack:
            pool = ProcessPoolExecutor(
                shares.count, _CONTEXT, _begin, (self._sets(), self.manner, done)
            )
            stack.enter_context(pool)
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)
            work = [
                pool.submit(_work_share, tuple(self.paths), shares, share, path)
                for share, path in enumerate(spills, 1)
            ]
            left: set[Future[_Fault]] = set(work)
            while left:
                _, left = wait(left, _TOLD_EVERY_S)
                self.told(min(1.0, sum(done) / total))
            faults = [fault for future in work if (fault := future.result()) is not None]
            if faults:
                raise RecordingError(min(faults)[1])  # the first, whoever met it


def replay_file(
    path: Path, rules: Sequence[Path], manner: Manner = BY_ITSELF, *, workers: int | None = None
) -> Iterator[SessionOutcome]:
    """Yields what the rules say to each session of a file, in the file's order.

    Args:
        path: sessions as JSON lines, or a decision log.
        rules: the rule files.
        manner: which ledgers, which agent; a log has its own.
        workers: how many processes; by default as many as there are cores, one for a small file.

    Raises:
        RecordingError: a line cannot be read; of sessions, what came before it has been yielded.
        RuleErrors: the rules do not load.
    """
    yield from Replay([path], rules, manner=manner, workers=workers)


_CONTEXT = multiprocessing.get_context("spawn")
"""The rules hold what cannot be forked."""


def _cores() -> int:
    """How many processors this process may use."""
    return os.process_cpu_count() or 1


def _is_log(record: Mapping[str, Json]) -> bool:
    return "messages" not in record and "type" in record and "seq" in record


def _session(line: Line) -> RecordedSession:
    return read_session(read_object(line.text, line.where), line.where)


def _sessions(
    sets: Sequence[RuleSet], sessions: Iterable[RecordedSession], manner: Manner
) -> Iterator[SessionOutcome]:
    """Yields what the first rules say, beside what the second ones do where there are such."""
    if len(sets) == 1:
        yield from rehearse_sessions(sets[0], sessions, manner)
        return
    turn: list[RecordedSession] = []  # the one session that both sets are at
    with ExitStack() as stack:
        now, then = (
            stack.enter_context(
                closing(rehearse_sessions(rules, (turn[0] for _ in repeat(None)), manner))
            )
            for rules in sets
        )
        for session in sessions:
            turn[:] = [session]
            made, other = next(now), next(then)
            calls = map(_beside, made.calls, other.calls)
            yield SessionOutcome(made.session, tuple(calls))


def _beside(now: CallOutcome, then: CallOutcome) -> CallOutcome:
    """Returns what one set says with what the other did."""
    return replace(
        now,
        was=then.verdict.label,
        was_reasons=then.reasons,
        unknown=tuple(dict.fromkeys((*now.unknown, *then.unknown))),
    )


def _replay_share(
    sets: Sequence[RuleSet],
    lines: Lines,
    shares: Shares,
    share: int,
    spill: Path,
    told: Callable[[int], None],
) -> None:
    """Judges the records of one share, and keeps the outcomes."""
    with ExitStack() as stack:
        kept = stack.enter_context(Spill(spill))
        replays = [LogReplay(stack.enter_context(Rehearsal(rules, spills=True))) for rules in sets]
        for line in lines:
            if line.number % _TOLD_LINES == 0:
                told(line.number)
            if not shares.has(share, line):
                continue
            try:
                record = read_object(line.text, line.where)
                made = [replay.carry(line.where, record) for replay in replays]
            except RecordingError as error:
                error.line = line.number
                raise
            if made[0] is None:
                continue
            outcome = made[0] if len(made) == 1 else _beside(made[0], made[1] or made[0])
            kept.put(line.number, record["session"], outcome)
        for replay in replays:
            replay.end()


def _load(sets: Sequence[Sequence[Path]], manner: Manner) -> list[RuleSet]:
    """Loads the rules, and those to compare with; the latter are what they are."""
    loaded = [load_paths(paths) for paths in sets]
    if manner.enforced:
        loaded[0] = as_enforced(loaded[0])
    return [RuleSet(one) for one in loaded]


# --- processes ---------------------------------------------------------------------------------------
type _Answer = tuple[list[SessionOutcome], str | None]
type _Fault = tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class _State:
    sets: list[RuleSet]
    manner: Manner
    done: Array[c_uint64] | None  # shared by all: how many lines are done, by share


_state: dict[str, _State] = {}
"""What a worker process has loaded."""


def _begin(sets: Sequence[Sequence[Path]], manner: Manner, done: Array[c_uint64] | None) -> None:
    _state["in force"] = _State(_load(sets, manner), manner, done)


def _work_batch(batch: Sequence[Line]) -> _Answer:
    """Judges a batch in a worker; a line that cannot be read ends it."""
    state = _state["in force"]
    made: list[SessionOutcome] = []
    try:
        for outcome in _sessions(state.sets, map(_session, batch), state.manner):
            made.append(outcome)
    except RecordingError as error:
        return made, str(error)
    return made, None


def _work_share(paths: Sequence[Path], shares: Shares, share: int, spill: Path) -> _Fault:
    """Judges a share in a worker; returns the number of a line that cannot be read, and why."""
    state = _state["in force"]

    def told(number: int) -> None:
        if state.done is not None:
            state.done[share] = number

    try:
        _replay_share(state.sets, Lines(paths), shares, share, spill, told)
    except RecordingError as error:
        return error.line, str(error)
    if state.done is not None:
        state.done[share] = len(shares.of_line)
    return None
