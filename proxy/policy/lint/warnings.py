"""All that is suspicious in a rule set that loads, but for what comments silence.

What belongs here: asking each family of warnings. A warning stops nothing; one that would be wrong in a sound file is worse than
none, so each family warns of what is certain and leaves the rest to cases files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy.policy.lint import conditions, fields, kinds, limits, shadowed
from proxy.policy.lint.ignores import silenced
from proxy.policy.lint.place import as_warning
from proxy.policy.problems import Problem
from proxy.policy.site import Site
from proxy.policy.yamlnodes import Document

if TYPE_CHECKING:
    from proxy.policy.load import Loaded


def warnings(loaded: Loaded) -> list[Problem]:
    """Returns every warning about a set, in file order."""
    return sorted(set(silenced(_found(loaded), _documents(loaded).values())))


def _found(loaded: Loaded) -> Iterator[Problem]:
    yield from map(as_warning, loaded.shadowed)
    yield from kinds.unproduced(loaded)
    yield from kinds.unmeasured(loaded)
    yield from limits.single_call_exceeds(loaded)
    yield from limits.shadowed_budgets(loaded)
    yield from conditions.never_matches(loaded)
    yield from fields.may_fail(loaded)
    yield from shadowed.shadowed_gates(loaded)
    yield from shadowed.shadowed_chains(loaded)


def _documents(loaded: Loaded) -> dict[str, Document]:
    """Returns the files that rules stand in, those that are extended too."""
    made: dict[str, Document] = {}
    for site in _sites(loaded):
        whole = site.document
        made.setdefault(whole.name, whole)
        for document, _ in whole.moved.values():
            made.setdefault(document.name, document)
    return made


def _sites(loaded: Loaded) -> Iterator[Site]:
    yield from (tool.site for tool in loaded.tools)
    for listed in (loaded.gates, loaded.budgets, loaded.chains, loaded.requires, loaded.signals):
        yield from (one.site for one in listed)
    yield from (site for _, site, _ in (*loaded.statements, *loaded.commands))
