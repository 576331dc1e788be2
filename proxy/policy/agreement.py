"""What has to hold between the entries of a set, of one file or of several.

What belongs here: names and routes that stand twice, names that an entry uses and nobody has. A mistake goes to the
list of the entry that comes second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from proxy.policy.answers import check_approvals
from proxy.policy.budgets import check_unit, check_was
from proxy.policy.routes import Route, overlap
from proxy.policy.signals import check_signal, named_apart
from proxy.policy.site import Site

if TYPE_CHECKING:
    from proxy.policy.load import Loaded


def check_agreement(loaded: Loaded) -> None:
    """Reports what does not hold between entries, of one file or of several."""
    names: dict[str, Site] = {}
    routes: list[tuple[Route, Site]] = []
    for tool in loaded.tools:
        for i, name in enumerate(tool.names):
            if name in names:
                where = f"{names[name].file}:{names[name].line}"
                path = ("name", i) if tool.site.at("name", i).stated else ("name",)
                text = f"'{name}' is mapped twice; the other one is {where}"
                extends = names[name].file == tool.site.document.name  # it says what counts
                if names[name].file == tool.site.file:
                    tool.site.at(*path).fault(text)
                elif not (extends and tool.site.document is names[name].document):
                    loaded.shadowed.append(tool.site.at(*path).problem(f"{text}, and counts"))
            names.setdefault(name, tool.site)
        if tool.route is not None:
            for other, site in routes:
                if overlap(tool.route, other):
                    where = f"{site.file}:{site.line}"
                    tool.site.at("http").fault(f"is mapped twice; the other one is {where}")
                    break
            routes.append((tool.route, tool.site))
    _unique("gate", ((g.name, g.site) for g in loaded.gates))
    _unique("budget", ((b.name, b.site) for b in loaded.budgets))
    _unique("chain", ((c.name, c.site) for c in loaded.chains))
    _unique("requirement", ((r.name, r.site) for r in loaded.requires))
    _unique("signal", ((s.name, s.site) for s in loaded.signals if s.stated_name))
    _unique("approval", ((a.name, a.site) for a in loaded.approvals))
    loaded.signals = named_apart(loaded.signals)
    check_approvals(loaded)
    for signal in loaded.signals:
        check_signal(signal, (b.name for b in loaded.budgets), (g.name for g in loaded.gates))
    seen = frozenset(
        effect.unit
        for tool in loaded.tools
        for effect in tool.all_effects
        if isinstance(effect.unit, str)
    )
    for budget in loaded.budgets:
        check_unit(budget, seen)
    check_was(loaded.budgets)


def _unique(what: str, named: Iterable[tuple[str, Site]]) -> None:
    first: dict[str, Site] = {}
    for name, site in named:
        if name in first:
            where = f"{first[name].file}:{first[name].line}"
            site.at("name").fault(f"the name is taken by the {what} at {where}")
        first.setdefault(name, site)
