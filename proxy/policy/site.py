"""A place in a rule file while it is compiled: where mistakes are reported, expressions compiled.

What belongs here: the bridge from a part of the file's shape to its marks. Compiling goes on after
a mistake, so that one run finds all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.policy.cel import Dialect, Expression, ExpressionErrors
from proxy.policy.named_values import expand
from proxy.policy.problems import Problem
from proxy.policy.shape import describe
from proxy.policy.yamlnodes import Document, Path

_TYPE_NAMES = {"BOOL": "true or false", "STRING": "text", "NULL": "null"}


@dataclass(frozen=True, slots=True)
class Site:
    """One value of one file."""

    document: Document
    path: Path
    problems: list[Problem]

    def at(self, *steps: str | int) -> Site:
        return Site(self.document, (*self.path, *steps), self.problems)

    @property
    def file(self) -> str:
        return self.document.place(self.path)[0].name

    @property
    def line(self) -> int:
        return self.document.line(self.path)

    @property
    def stated(self) -> bool:
        """Whether a file has a value here."""
        return self.document.node(self.path) is not None

    def problem(self, text: str, *, offset: int = 0) -> Problem:
        where = describe(self.document, self.path)
        return self.document.problem(self.path, where + text, offset=offset)

    def fault(self, text: str, *, offset: int = 0) -> None:
        self.problems.append(self.problem(text, offset=offset))

    def expression(
        self, text: str, dialect: Dialect, what: str, types: frozenset[str]
    ) -> Expression | None:
        """Compiles an expression that must be able to give one of these CEL types, or is dynamic."""
        expanded = expand(text, self.document.variables)
        if expanded.fault is not None:
            offset, fault = expanded.fault
            self.fault(f"{what}: {fault}", offset=offset)
            return None
        try:
            made = dialect.compile(expanded.text)
        except ExpressionErrors as error:
            for problem in error.problems:
                self.fault(f"{what}: {problem.text}", offset=expanded.offset(problem.offset))
            return None
        kind = made.type_name
        if kind.partition("<")[0] not in types and kind != "DYN":
            wanted = (
                "a number" if "DOUBLE" in types else _TYPE_NAMES[min(types & _TYPE_NAMES.keys())]
            )
            got = _TYPE_NAMES.get(kind, kind.lower())
            self.fault(f"{what}: must give {wanted}, but this expression gives {got}")
            return None
        return made
