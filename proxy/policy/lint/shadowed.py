"""Gates and chains that never change a verdict, beside another one.

What belongs here: a gate whose condition holds only where another one's does too, and which is no stricter. Parts of an
`&&` are compared as texts without white space: what is written otherwise is taken for something else. Only rules of one
file are compared: files are made to be combined, and each keeps its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy.policy.celtree import conjuncts, parse
from proxy.policy.lint.place import related, warning
from proxy.policy.problems import Problem
from proxy.policy.signals import RAISE

if TYPE_CHECKING:
    from proxy.policy.chains import Chain
    from proxy.policy.gates import Gate
    from proxy.policy.load import Loaded

_SPACE = re.compile(r"\s+")


def shadowed_gates(loaded: Loaded) -> Iterator[Problem]:
    """Yields gates that another one makes needless."""
    raised = {a.name for signal in loaded.signals for a in signal.actions if a.verb == RAISE}
    parts = [(gate, _parts(gate)) for gate in loaded.gates]
    by_part: dict[str, list[int]] = {}
    for i, (_, own) in enumerate(parts):
        for part in own:
            by_part.setdefault(part, []).append(i)
    for i, (gate, own) in enumerate(parts):
        if gate.name in raised:
            continue  # it has a say when the signal comes
        candidates = sorted({j for part in own for j in by_part[part] if j != i})
        for j in candidates:
            other, others = parts[j]
            if (
                other.file == gate.file
                and others <= own
                and _outdoes(other, gate, same=others == own, later=j < i)
            ):
                text = f"never changes a verdict: the gate '{other.name}' {_said(other, same=others == own)}"
                where = related(other.site, f"gate '{other.name}': {other.verdict.label}")
                yield warning(gate.site.at("name"), "shadowed-gate", text, related=[where])
                break


def _outdoes(other: Gate, gate: Gate, *, same: bool, later: bool) -> bool:
    """Whether the other one's answer is all that counts; a narrower gate of the same verdict has a message to give."""
    if other.shadow and not gate.shadow:
        return False
    if other.verdict > gate.verdict:
        return True
    if other.verdict < gate.verdict:
        return False
    return later if same else gate.message is None


def _said(other: Gate, *, same: bool) -> str:
    asks = "asks the same" if same else "asks less"
    return f"{asks} and says {other.verdict.label}"


def _parts(gate: Gate) -> frozenset[str]:
    return frozenset(_SPACE.sub("", part.text) for part in conjuncts(parse(gate.when.text)))


def shadowed_chains(loaded: Loaded) -> Iterator[Problem]:
    """Yields chains of the same steps as another one that is at least as strict."""
    seen: dict[tuple[object, ...], Chain] = {}
    for chain in sorted(loaded.chains, key=lambda one: (-one.verdict, one.shadow)):
        first = seen.setdefault(_pattern(chain), chain)
        if first is not chain and (chain.shadow or not first.shadow):
            text = f"never decides: the chain '{first.name}' has the same steps and says {first.verdict.label}"
            where = related(first.site, f"chain '{first.name}'")
            yield warning(chain.site.at("name"), "shadowed-chain", text, related=[where])


def _pattern(chain: Chain) -> tuple[object, ...]:
    steps = tuple(
        (step.kinds, step.labels, step.when.text if step.when is not None else None)
        for step in chain.steps
    )
    return (
        chain.file,
        steps,
        chain.same_target,
        chain.per,
        chain.window_ms,
        chain.unless,
        chain.flow,
    )
