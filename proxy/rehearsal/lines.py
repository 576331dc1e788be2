"""Lines of recorded files: several in order, compressed ones, and one that is still being written.

What belongs here: opening and reading, nothing of what the lines say. A file that ends in `.gz` or `.zst` is read
through; a last line that has no end and is no JSON is one that its writer has not finished, and is left out with a note.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from proxy.rehearsal.recorded import RecordingError

_is_json = msgspec.json.Decoder(msgspec.Raw).decode
_UNREADABLE = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not empty."""

    number: int  # over all files, from 1
    where: str  # "log.jsonl:12"
    text: bytes


class Lines:
    """The lines of some files, as often as they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.torn: str | None = None  # where a line is not finished
        self.read_bytes = 0  # of the files as they lie on disk, so far

    @property
    def size_bytes(self) -> int:
        """Of all files, as they lie on disk."""
        return sum(path.stat().st_size for path in self.paths if path.is_file())

    def __iter__(self) -> Iterator[Line]:
        """Yields all lines, in order.

        Raises:
            RecordingError: a file cannot be read.
        """
        number, before = 0, 0
        for path in self.paths:
            at = 0
            is_last = path == self.paths[-1]
            try:
                with ExitStack() as stack:
                    opened, told = _open(path, stack)
                    for text in opened:
                        at += 1
                        number += 1
                        self.read_bytes = before + told()
                        if not text.strip():
                            continue
                        where = f"{path}:{at}"
                        if is_last and not text.endswith(b"\n") and not _is_whole(text):
                            self.torn = where
                            return
                        yield Line(number, where, text)
                    before += told()
            except OSError as error:
                what = error.strerror or type(error).__name__
                raise RecordingError(f"{path}: cannot be read: {what}") from error
            except _UNREADABLE as error:
                if is_last and at and isinstance(error, EOFError):
                    self.torn = f"{path}:{at + 1}"
                    return
                raise RecordingError(f"{path}:{at + 1}: cannot be unpacked: {error}") from error


def _open(path: Path, stack: ExitStack) -> tuple[BinaryIO, Callable[[], int]]:
    """Returns a file's lines, and what says how far it is read."""
    raw = stack.enter_context(path.open("rb"))
    if path.suffix == ".gz":
        return stack.enter_context(gzip.open(raw, "rb")), raw.tell  # type: ignore[return-value]  # it is one in "rb"
    if path.suffix == ".zst":
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return stack.enter_context(io.BufferedReader(reader, 1 << 16)), raw.tell
    return raw, raw.tell


def _is_whole(text: bytes) -> bool:
    try:
        _is_json(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
