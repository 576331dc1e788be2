"""The decision log: append-only JSON lines in a hash chain.

How it works. A record gets `v`, `seq`, `time`, `prev` (the hash of the record before) and `hash`:
SHA-256 over its canonical JSON (RFC 8785) with `prev` and without `hash`. A line is made of the
same canonical pieces, ordered for people who tail. One append is one write and one fsync; if either
fails, the file goes back to the last good offset, the chain does not advance, and `LogError` tells
the caller, who refuses the calls.

A file that was rotated away is noticed at the next append; the new one continues the chain, so that
`log verify OLD NEW` holds. `proxy/logtail.py` reads: verify and follow. docs/log.md has the fields.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from proxy.canonical import canonical_json, sha256_hex
from proxy.errors import LogError
from proxy.model import Json

type Record = dict[str, Json]

VERSION = 1
ZERO = "0" * 64
"""`prev` of the first record of all."""

_ORDER = (
    "v", "seq", "time", "type", "verdict", "would", "session", "agent", "trust", "side",
    "provider", "call", "effects", "reasons", "budgets", "hold", "elapsed_us",
)  # fmt: skip
_OURS = frozenset(("v", "seq", "time", "prev", "hash"))
_MAX_DEPTH = 64
_READ = 1 << 16

_pieces = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class DecisionLog:
    """The writing end; one process at a time, one thread at a time."""

    def __init__(self, path: Path, *, now: Callable[[], datetime] | None = None) -> None:
        """Opens the file (made with mode 0600) and takes up its chain.

        Raises:
            LogError: another process writes it, it cannot be read or written, or its end is no
                record of ours.
        """
        self._path = path
        self._now = now if now is not None else _utc_now
        self._seq = 0
        self._prev = ZERO
        self._good: int | None = None  # where to cut, when a failed write could not be undone
        self._fd = -1
        self._regular = True
        cut = self._open()
        if cut:
            self.append([_note(f"a torn last line of {cut} bytes was cut off")])

    @property
    def head(self) -> tuple[int, str]:
        """The last record's seq and hash; (0, zeros) before the first."""
        return self._seq, self._prev

    def append(self, records: Sequence[Record]) -> tuple[int, int] | None:
        """Writes records durably; returns the first and last seq they got, None for no records.

        Raises:
            LogError: nothing of it is in the log.
        """
        if not records:
            return None
        self._follow_rotation()
        seq, prev = self._seq, self._prev
        time = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        lines: list[bytes] = []
        for record in records:
            seq += 1
            line, prev = _line(record, seq, time, prev)
            lines.append(line)
        self._write(b"".join(lines))
        first, self._seq, self._prev = self._seq + 1, seq, prev
        return first, seq

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # --- writing -----------------------------------------------------------------------------
    def _write(self, data: bytes) -> None:
        try:
            if self._good is not None:
                os.ftruncate(self._fd, self._good)
                self._good = None
            start = os.fstat(self._fd).st_size
        except OSError as error:
            raise self._failed("cannot be written", error) from error
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._fd, left) :]
            self._sync(self._fd)
        except OSError as error:
            if self._regular:
                self._good = start
                with suppress(OSError):  # else the next append cuts, or fails again
                    os.ftruncate(self._fd, start)
                    self._good = None
            raise self._failed("cannot be written", error) from error

    def _sync(self, fd: int) -> None:
        try:
            os.fsync(fd)
        except OSError as error:
            if self._regular or error.errno not in (errno.EINVAL, errno.EROFS, errno.ENOTSUP):
                raise

    def _failed(self, what: str, error: OSError) -> LogError:
        return LogError(
            f"{self._path}: the decision log {what}: {error.strerror or error}; "
            "calls are refused until it can be"
        )

    # --- opening and rotation ----------------------------------------------------------------
    def _follow_rotation(self) -> None:
        if self._fd >= 0:
            try:
                there, ours = os.stat(self._path), os.fstat(self._fd)
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return
            except FileNotFoundError:
                pass
            except OSError as error:
                raise self._failed("cannot be found", error) from error
        elif self._seq == 0:
            raise LogError(f"{self._path}: the decision log is closed")
        self.close()
        self._good = None
        self._open()

    def _open(self) -> int:
        """Opens the file and checks or takes up its chain; returns how many torn bytes were cut."""
        path = self._path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = not path.exists()
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failed("cannot be opened", error) from error
        try:
            cut = self._take_up(fd)
            if new:
                _sync_directory(path.parent)
        except OSError as error:
            os.close(fd)
            raise self._failed("cannot be opened", error) from error
        except LogError:
            os.close(fd)
            raise
        self._fd = fd
        return cut

    def _take_up(self, fd: int) -> int:
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        if not self._regular:
            return 0  # a terminal or pipe: nothing to read back, nothing to lock
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LogError(
                f"{self._path}: another checkrein writes this decision log; "
                "stop it, or give this one its own --log"
            ) from error
        tail, cut = _last_line(fd)
        if cut:
            os.ftruncate(fd, os.fstat(fd).st_size - cut)
        head = _head_of(tail, self._path) if tail else None
        if self._seq:  # we were writing already: this is the file after a rotation
            if head is not None and head != (self._seq, self._prev):
                raise LogError(
                    f"{self._path}: was replaced by a file with records of its own; move it away"
                )
        else:
            self._seq, self._prev = head or _head_of_rotated(self._path)
        return cut


def _line(record: Record, seq: int, time: str, prev: str) -> tuple[bytes, str]:
    """Returns a record's line and its hash."""
    full: Record = {k: v for k, v in record.items() if k not in _OURS}
    full.update(v=VERSION, seq=seq, time=time, prev=prev)
    try:
        canonical = canonical_json(full)
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        # What came from the wire must not be able to stop the log, and with it every agent.
        canonical = canonical_json(_storable(full, 0))
    digest = sha256_hex(canonical)
    pieces = _pieces(canonical)
    line: dict[str, Json] = {k: pieces.pop(k) for k in _ORDER if k in pieces}
    last = pieces.pop("prev")
    line.update(pieces)
    line["prev"] = last
    line["hash"] = digest
    return _encode(line) + b"\n", digest


def _storable(value: Json, depth: int) -> Json:
    """Returns a value that has a JSON form: no lone surrogates, no NaN, no foreign types."""
    if depth > _MAX_DEPTH:
        return "[cut: nested too deeply]"
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_storable(str(k), depth): _storable(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(v, depth + 1) for v in value]
    try:
        canonical_json(value)
    except (ValueError, TypeError):
        return f"[no JSON form: {type(value).__name__}]"
    return value


def _last_line(fd: int) -> tuple[bytes, int]:
    """Returns the last whole line without its newline, and how many bytes follow it."""
    end = os.fstat(fd).st_size
    data, start = b"", end
    while start > 0 and data.count(b"\n") < 2:
        size = min(_READ, start)
        start -= size
        data = os.pread(fd, size, start) + data
    whole = data.rfind(b"\n") + 1
    return data[:whole].rstrip(b"\n").rpartition(b"\n")[2], len(data) - whole


def _head_of(line: bytes, path: Path) -> tuple[int, str]:
    try:
        record = msgspec.json.decode(line)
        seq, digest = record["seq"], record["hash"]
        if type(seq) is int and type(digest) is str and len(digest) == 64:
            return seq, digest
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        pass
    raise LogError(
        f"{path}: its last line is no decision record; see `checkrein log verify`, "
        "and move the file away to start a new one"
    )


def _head_of_rotated(path: Path) -> tuple[int, str]:
    """Finds where the chain ended when the file was rotated while nobody wrote: its siblings say."""
    best = (0, ZERO)
    for sibling in sorted(path.parent.glob(f"{_escaped(path.name)}[.-]*")):
        with suppress(OSError, LogError):
            fd = os.open(sibling, os.O_RDONLY | os.O_CLOEXEC)
            try:
                line, _ = _last_line(fd)
            finally:
                os.close(fd)
            best = max(best, _head_of(line, sibling))
    return best


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _note(text: str) -> Record:
    return {"type": "error", "session": None, "agent": None, "where": "log", "error": text}


def _utc_now() -> datetime:
    return datetime.now(UTC)
