"""From the texts of rule files to whole documents: packs below put in, variables with their values.

What belongs here: following `extends`, what is read once, and the order of it. A file that another one extends is
read as its base and not by itself too, so that a folder may hold both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from proxy.policy.extending import extend
from proxy.policy.named_values import substitute
from proxy.policy.packs import Library
from proxy.policy.problems import Problem
from proxy.policy.yamlnodes import Document, read_yaml


@dataclass(slots=True)
class Documents:
    """All files of a set, those that were read for others too."""

    whole: list[Document] = field(default_factory=list)  # to be compiled, in order
    files: list[str] = field(default_factory=list)
    noticed: list[Problem] = field(default_factory=list)  # warnings
    digest: str = ""


def read_documents(
    texts: Iterable[tuple[str, str]], library: Library, found: list[Problem]
) -> Documents:
    """Reads (file name, text) pairs; mistakes go to `found`."""
    reading = _Reading(library, found)
    named = [(name, reading.document(name, text)) for name, text in texts]
    made = Documents(files=list(reading.texts))
    for name, document in named:
        if library.identity(name) not in reading.below:
            made.whole.append(document)
            made.noticed += reading.fill(document)
    hashed = hashlib.sha256()
    for text in reading.texts.values():
        data = text.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(data) + data)
    made.digest = hashed.hexdigest()
    return made


class _Reading:
    """One load: what was read so far."""

    def __init__(self, library: Library, found: list[Problem]) -> None:
        self.texts: dict[str, str] = {}
        self.below: set[str] = set()  # that some other file extends
        self._library = library
        self._found = found
        self._made: dict[str, Document] = {}
        self._open: list[str] = []

    def document(self, name: str, text: str) -> Document:
        """Returns a file with all that it extends; variables are still names."""
        key = self._library.identity(name)
        if key in self._made:
            return self._made[key]
        self.texts[name] = text
        document = read_yaml(name, text)
        self._found += document.problems
        self._open.append(key)
        bases = self._bases(document)
        self._open.pop()
        if document.value is None and not document.problems:
            self._found.append(Problem(name, 1, 1, "the file is empty"))
        self._made[key] = extend(document, bases, self._found)
        return self._made[key]

    def _bases(self, document: Document) -> list[Document]:
        stated = document.value.get("extends") if isinstance(document.value, dict) else None
        listed = stated if isinstance(stated, list) else [stated]
        bases: dict[str, Document] = {}
        for i, pack in enumerate(listed):
            path = ("extends", i) if isinstance(stated, list) else ("extends",)
            if not isinstance(pack, str):
                continue  # the shape says so
            try:
                name, text = self._library.find(pack, document.name)
            except LookupError as error:
                self._found.append(document.problem(path, f"extends: {error}"))
                continue
            key = self._library.identity(name)
            if key in self._open:
                round_ = " -> ".join((*self._open[self._open.index(key) :], key))
                self._found.append(document.problem(path, f"extends: goes round: {round_}"))
                continue
            base = self.document(name, text)
            self.below.add(key)
            if isinstance(base.value, dict):
                bases[key] = base
        return list(bases.values())

    def fill(self, document: Document) -> list[Problem]:
        """Puts the variables' values in; returns warnings."""
        met = substitute(document, self._found)
        stated = document.value.get("vars") if isinstance(document.value, dict) else None
        named = stated if isinstance(stated, dict) else {}
        unused = [name for name in named if name in document.variables and name not in met]
        return [
            document.problem(("vars", name), f"no rule of this file uses '${name}'", key=True)
            for name in unused
        ]
