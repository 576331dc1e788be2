"""The people file's part about notices, read from its parsed value.

What belongs here: `notices_from`, for whoever has read the file. It takes the keys that are its own and leaves the rest alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from proxy.errors import ConfigurationError
from proxy.model import Json
from proxy.notices.schema import KEYS, NoticesPart
from proxy.notices.targets import Notices, compile_notices
from proxy.policy.shape import tupled
from proxy.policy.yamlnodes import read_yaml


def notices_from(document: Mapping[str, Json], environment: Mapping[str, str]) -> Notices:
    """Returns whom to tell, from a people file's value.

    Raises:
        ValueError: it cannot be used; the text names the place (`notices.0.to`) and quotes no value that may be a secret.
    """
    mine = {key: value for key, value in document.items() if key in KEYS}
    try:
        part = NoticesPart.model_validate(tupled(mine))
    except ValidationError as error:
        raise ValueError("; ".join(_told(error))) from None  # its own text would quote the input
    return compile_notices(part, environment)


def notices_in(path: Path, environment: Mapping[str, str]) -> Notices:
    """Returns whom to tell, from a file.

    Raises:
        ConfigurationError: it cannot be read or used.
    """
    try:
        document = read_yaml(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"--people {path}: cannot be read: {why}") from error
    if document.problems:
        raise ConfigurationError(str(document.problems[0]))
    if not isinstance(document.value, dict):
        raise ConfigurationError(f"{path}: a people file is a mapping of keys to values")
    try:
        return notices_from(document.value, environment)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _told(error: ValidationError) -> list[str]:
    made = []
    for fault in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in fault["loc"])
        what = {
            "extra_forbidden": "there is no such key",
            "missing": "this key is missing",
        }.get(fault["type"], fault["msg"])
        made.append(f"{where}: {what}")
    return made
