"""Packs by their names: in the folder of the file that asks, the user's own, those that came with checkrein.

What belongs here: finding and reading a pack's file. The folders are named in `settings.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from proxy.policy.problems import did_you_mean
from proxy.settings import pack_folders

CASES = ".cases.yaml"
TABLES = ("prices", "lexicon")
"""Files of a folder of packs that hold tables, no rules."""


class Library:
    """Where packs are looked for."""

    def __init__(self, folders: Sequence[Path] | None = None) -> None:
        self._folders = pack_folders() if folders is None else tuple(folders)

    def path_of(self, pack: str, beside: Path | None = None) -> Path:
        """Returns the file of a pack; `beside` is the file that names it.

        Raises:
            LookupError: there is none; the text says where it was looked for.
        """
        if "/" in pack or pack.endswith(".yaml"):
            path = (beside.parent if beside is not None else Path()) / pack
            if not path.is_file():
                raise LookupError(f"'{pack}': there is no such file")
            return path
        for folder in self._places(beside):
            path = folder / f"{pack}.yaml"
            if path.is_file() and not (beside is not None and _same(path, beside)):
                return path
        known = sorted(self.names(beside))
        near = did_you_mean(pack, known)
        raise LookupError(f"there is no pack '{pack}'{near or f'; there are {", ".join(known)}'}")

    def find(self, pack: str, beside: str) -> tuple[str, str]:
        """Returns the file's name and text.

        Raises:
            LookupError: there is none, or it cannot be read.
        """
        path = self.path_of(pack, Path(beside))
        try:
            return str(path), path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            what = getattr(error, "strerror", None) or "not UTF-8"
            raise LookupError(f"{path} cannot be read: {what}") from error

    def names(self, beside: Path | None = None) -> set[str]:
        """Returns the names of all packs that can be found."""
        return {
            path.stem
            for folder in self._places(beside)
            for path in (folder.glob("*.yaml") if folder.is_dir() else ())
            if not path.name.endswith(CASES)
            and path.stem not in TABLES
            and not (beside is not None and _same(path, beside))
        }

    def identity(self, name: str) -> str:
        """Returns one name for a file, however it was reached."""
        path = Path(name)
        return str(path.resolve()) if path.is_file() else name

    def _places(self, beside: Path | None) -> tuple[Path, ...]:
        own = () if beside is None or not beside.is_file() else (beside.parent,)
        return (*own, *self._folders)


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
