"""Enforce or shadow: which mode a file and each of its rules is in, and the set that each mode makes.

A rule's own `mode` goes before its file's; without either it is enforced. What a file says besides rules (its
tools, its tables, its words for the whole set) is in the file's mode.

A set with files in both modes is two sets: the one that would be in force if the files in shadow were not there
(`Loaded.enforced`), and the one with all files, of which only the rules of files in shadow count
(`beside_enforced`). So nothing that a file in shadow says can let a call pass that would be stopped without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from proxy.model import SHADOW
from proxy.policy.yamlnodes import Document

if TYPE_CHECKING:
    from proxy.policy.load import Loaded
    from proxy.policy.site import Site


def file_in_shadow(document: Document) -> bool:
    """Whether a file states `mode: shadow` for all that does not state its own."""
    return isinstance(document.value, dict) and document.value.get("mode") == "shadow"


def in_shadow(mode: str | None, site: Site) -> bool:
    """Whether a rule is in shadow; `mode` is its own."""
    return file_in_shadow(site.document) if mode is None else mode == "shadow"


def enforcing(documents: Sequence[Document]) -> list[Document] | None:
    """Returns the files that are not in shadow; None where these are all, or none."""
    made = [document for document in documents if not file_in_shadow(document)]
    return made if 0 < len(made) < len(documents) else None


def beside_enforced(loaded: Loaded) -> Loaded:
    """Returns a set of files in both modes without what counts in `loaded.enforced` already.

    Gates and requirements of files that are enforced stay, in shadow: what they say of a call as files in shadow
    map it. Their budgets and chains do not, for they have one account and one state.
    """

    def is_own(site: Site) -> bool:
        return file_in_shadow(site.document)

    return replace(
        loaded,
        gates=[g if is_own(g.site) else replace(g, shadow=True) for g in loaded.gates],
        requires=[r if is_own(r.site) else replace(r, shadow=True) for r in loaded.requires],
        budgets=[b for b in loaded.budgets if is_own(b.site)],
        chains=[c for c in loaded.chains if is_own(c.site)],
    )


def as_enforced(loaded: Loaded) -> Loaded:
    """Returns a set as if no file and no rule were in shadow: what cases files and replays ask."""
    return replace(
        loaded,
        gates=[replace(one, shadow=False) for one in loaded.gates],
        requires=[replace(one, shadow=False) for one in loaded.requires],
        budgets=[replace(one, shadow=False) for one in loaded.budgets],
        chains=[replace(one, shadow=False) for one in loaded.chains],
        signals=[replace(one, shadow=False) for one in loaded.signals],
        enforced=None,
        all_in_shadow=False,
    )


def known_in_shadow(kind: str) -> bool:
    """Whether an effect is known only by files in shadow."""
    return kind.startswith(SHADOW)


def plain_kind(kind: str) -> str:
    """Returns an effect's kind as rules write it."""
    return kind.removeprefix(SHADOW)
