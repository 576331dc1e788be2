"""Files of JSON lines, with the place of what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.model import Json
from proxy.rehearsal.recorded import RecordingError, read_object


def read_lines(path: Path) -> Iterator[tuple[str, dict[str, Json]]]:
    """Yields (where, object) of each line of a file.

    Raises:
        ConfigurationError: the file, or a line, cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    where = f"{path}:{number}"
                    yield where, read_object(line, where)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except RecordingError as error:
        raise ConfigurationError(str(error)) from error
