"""A recorded file through the rules: sessions on all cores, a decision log in its own order.

How it works. The first line says what the file is. Sessions that share no ledger are independent: their
lines go to processes in batches, a few at a time, and the answers come out in the file's order, so that
memory does not grow with the file and the same file gives the same answer on any machine. Sessions that share a
ledger, and the records of a log, are judged one after another.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from proxy.model import Json
from proxy.policy.ruleset import RuleSet
from proxy.rehearsal.declog import rehearse_log
from proxy.rehearsal.recorded import RecordedSession, RecordingError, read_object, read_session
from proxy.rehearsal.sessions import BY_ITSELF, Ledgers, Manner, SessionOutcome, rehearse_sessions

_BATCH_LINES = 8
_BATCHES_A_WORKER = 3
_SMALL_BYTES = 1 << 20
"""Below this a second process costs more than it saves: each loads the rules for itself."""

type _Line = tuple[int, bytes]


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
        RecordingError: a line cannot be read; what came before it has been yielded.
        RuleErrors: the rules do not load.
    """
    compiled = RuleSet.load(rules)
    first = next(_lines(path), None)
    if first is None:
        return
    if _is_log(read_object(first[1], f"{path}:{first[0]}")):
        yield from rehearse_log(compiled, _records(path))
        return
    if workers is None:
        workers = 1 if path.stat().st_size < _SMALL_BYTES else _cores()
    if workers <= 1 or manner.ledgers is Ledgers.ONE:
        yield from rehearse_sessions(compiled, _sessions(path), manner)
        return
    yield from _in_processes(path, rules, manner, workers)


def _cores() -> int:
    """How many processors this process may use."""
    return os.process_cpu_count() or 1


def _lines(path: Path) -> Iterator[_Line]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error


def _is_log(record: Mapping[str, Json]) -> bool:
    return "messages" not in record and "type" in record and "seq" in record


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for number, line in _lines(path):
        where = f"{path}:{number}"
        yield where, read_object(line, where)


def _sessions(path: Path) -> Iterator[RecordedSession]:
    return (_session(str(path), line) for line in _lines(path))


def _session(name: str, line: _Line) -> RecordedSession:
    where = f"{name}:{line[0]}"
    return read_session(read_object(line[1], where), where)


# --- processes ---------------------------------------------------------------------------------------
def _in_processes(
    path: Path, rules: Sequence[Path], manner: Manner, workers: int
) -> Iterator[SessionOutcome]:
    lines = _lines(path)
    waiting: deque[Future[_Answer]] = deque()
    context = multiprocessing.get_context("spawn")  # the rules hold what cannot be forked
    with ExitStack() as stack:
        pool = stack.enter_context(
            ProcessPoolExecutor(workers, context, _begin, (tuple(rules), manner))
        )
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        while True:
            while len(waiting) < workers * _BATCHES_A_WORKER:
                batch = tuple(islice(lines, _BATCH_LINES))
                if not batch:
                    break
                waiting.append(pool.submit(_work, str(path), batch))
            if not waiting:
                return
            outcomes, fault = waiting.popleft().result()
            yield from outcomes
            if fault is not None:
                raise RecordingError(fault)


type _Answer = tuple[list[SessionOutcome], str | None]

_state: dict[str, tuple[RuleSet, Manner]] = {}
"""What a worker process has loaded."""


def _begin(rules: Sequence[Path], manner: Manner) -> None:
    _state["in force"] = (RuleSet.load(rules), manner)


def _work(name: str, batch: Sequence[_Line]) -> _Answer:
    """Judges a batch in a worker; a line that cannot be read ends it."""
    rules, manner = _state["in force"]
    made: list[SessionOutcome] = []
    try:
        for outcome in rehearse_sessions(rules, (_session(name, line) for line in batch), manner):
            made.append(outcome)
    except RecordingError as error:
        return made, str(error)
    return made, None
