"""Rule files watched: an edit is read and compiled beside the loop, and put in force between two calls.

How it works. The folders of all files that the set was read from, and the folders given, are watched; an editor or
Kubernetes puts a new file in the place of the old one, so a file's own watch would end with it. A change, a signal
(SIGHUP, the admin side) or half a minute without either leads to a look at the files' contents; where these are
the ones that were looked at last, nothing is compiled. What cannot be used is told once: in the log, on stderr, on the
admin side; the set in force stays.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import watchfiles

from proxy.errors import CheckreinError
from proxy.pipeline.core import Pipeline
from proxy.policy.problems import RuleErrors
from proxy.policy.ruleset import RuleSet

logger = logging.getLogger("checkrein")

_LOOK_EVERY_S = 30.0
"""A missed event (a full queue, a network file system) is made up for after so long."""
_TOGETHER_MS = 100
_STANDS_STILL_S = 0.1
"""An editor writes in several steps: contents are read when they have not changed for so long."""
_SWITCH_S = 0.0002


class Looked(StrEnum):
    """What a look at the files led to."""

    SAME = "same"
    RELOADED = "reloaded"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class _Read:
    """The files as they are now; `rules` is None where they cannot be used."""

    contents: str
    rules: RuleSet | None
    problems: tuple[str, ...] = ()


class RuleWatch:
    """Keeps a pipeline's rules those of the files.

    Args:
        pipeline: whose rules are in force.
        paths: files and folders, as the set was loaded from.
    """

    def __init__(self, pipeline: Pipeline, paths: Sequence[Path]) -> None:
        self._pipeline = pipeline
        self._paths = tuple(paths)
        self._wake = asyncio.Event()
        self._looking = asyncio.Lock()
        self._seen = _contents(self._paths, pipeline.rules.files)

    def wake(self) -> None:
        """Has the files looked at soon; from the loop's own thread."""
        self._wake.set()

    async def run(self, *, watching: bool = True) -> None:
        """Looks at the files for ever, when they change or (not `watching`) only when it is woken."""
        async with asyncio.TaskGroup() as group:
            if watching:
                group.create_task(self._watch())
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _LOOK_EVERY_S if watching else None)
                self._wake.clear()
                try:
                    await self.look()
                except CheckreinError as error:  # no ledger, no log: it is tried again
                    logger.error("rules: not taken over: %s", error)

    async def look(self) -> Looked:
        """Looks at the files, and puts in force what they say.

        Raises:
            LedgerError, LogError: the change could not be noted; the old set stays.
        """
        async with self._looking:
            now = await self._written()
            if now == self._seen:
                rejected = self._pipeline.rulebook.rejected
                return Looked.SAME if rejected is None else Looked.REJECTED
            outcome = await self._take(await asyncio.to_thread(_read, self._paths))
            # Only now: what could not be noted is tried again. What was written since then is another content.
            self._seen = now
            return outcome

    async def _written(self) -> str:
        """Returns the digest of the contents, once they stand still: half a file can be a whole rule set."""
        last = await asyncio.to_thread(_contents, self._paths, self._pipeline.rules.files)
        while last != self._seen:
            await asyncio.sleep(_STANDS_STILL_S)
            now = await asyncio.to_thread(_contents, self._paths, self._pipeline.rules.files)
            if now == last:
                break
            last = now
        return last

    async def _take(self, read: _Read) -> Looked:
        in_force = self._pipeline.rules
        if read.rules is None:
            for problem in read.problems:
                logger.error("rules: %s", problem)
            logger.error("rules: not taken over; %s stay in force", in_force.digest[:16])
            await self._pipeline.reject_rules(read.problems)
            return Looked.REJECTED
        if read.rules.digest == in_force.digest and read.rules.files == in_force.files:
            if self._pipeline.rulebook.rejected is not None:
                logger.warning("rules: in order again: %s", in_force.digest[:16])
                await self._pipeline.rules_in_order()
            return Looked.SAME
        await self._pipeline.change_rules(read.rules)
        logger.warning(
            "rules: %s in force, before %s", read.rules.digest[:16], in_force.digest[:16]
        )
        return Looked.RELOADED

    async def _watch(self) -> None:
        """Wakes the looking when something has changed that may be one of the files."""
        polling: bool | None = None
        while True:
            folders = self._folders()
            try:
                async for _ in watchfiles.awatch(
                    *folders,
                    watch_filter=self._is_ours,
                    debounce=_TOGETHER_MS,
                    recursive=False,
                    rust_timeout=5_000,
                    yield_on_timeout=True,  # the folders may be others by now
                    force_polling=polling,
                ):
                    self._wake.set()
                    if folders != self._folders():
                        break
            except (OSError, RuntimeError) as error:  # a folder went, or no more can be watched
                logger.warning("rules: %s; looked at by polling", error)
                polling = True
                await asyncio.sleep(1.0)

    def _is_ours(self, _change: watchfiles.Change, path: str) -> bool:
        name = Path(path).name
        named = {p.name for p in (*self._paths, *map(Path, self._pipeline.rules.files))}
        # `..data` is the link that Kubernetes turns to a new folder.
        return name in named or name.endswith(".yaml") or name.startswith("..")

    def _folders(self) -> list[Path]:
        named = [path if path.is_dir() else path.parent for path in self._paths]
        found = dict.fromkeys([*named, *(Path(f).parent for f in self._pipeline.rules.files)])
        return [folder for folder in found if folder.is_dir()]


def _contents(paths: Sequence[Path], files: Sequence[str]) -> str:
    """Returns a digest of all that the files hold now, those too that were not there before."""
    inside = [file for path in paths if path.is_dir() for file in sorted(path.glob("*.yaml"))]
    hashed = hashlib.sha256()
    for file in dict.fromkeys([*paths, *inside, *map(Path, files)]):
        if file.is_dir():
            continue
        try:
            data = file.read_bytes()
        except OSError as error:
            data = repr(error.errno).encode()
        hashed.update(f"{file}\0{len(data)}\0".encode("utf-8", "surrogateescape") + data)
    return hashed.hexdigest()


def _read(paths: Sequence[Path]) -> _Read:
    """Reads and compiles, in a thread of its own.

    The loop and the ledger's thread wait for the interpreter's lock at every system call; while this thread has
    it, that is one switch interval each time. A shorter one makes the compiling longer, and them nearly as quick as ever.
    """
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    gc.disable()  # a collection in the middle would look at all that is kept, with everybody waiting
    try:
        return _compiled(paths)
    finally:
        gc.enable()
        sys.setswitchinterval(usual_s)


def _compiled(paths: Sequence[Path]) -> _Read:
    try:
        rules = RuleSet.load(paths)
    except RuleErrors as errors:
        return _Read(_contents(paths, ()), None, tuple(map(str, errors.problems)))
    except Exception as error:
        logger.exception("rules: could not be compiled")
        return _Read(_contents(paths, ()), None, (f"{type(error).__name__}: {error}",))
    return _Read(_contents(paths, rules.files), rules)
