"""Preconditions: an effect that needs evidence, from an observed result, before it is let through.

What belongs here: the compiled entry of `requires:` and its answer. Evidence is never what an agent
says in its arguments: it is the newest observed result of a call with an effect of the required kind, on
the same target. A newer result replaces an older one, so that a check that has gone bad is not covered
by one that was good. A missing precondition tells the agent what to call first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from proxy.model import Effect, Reason, Verdict
from proxy.policy import schema
from proxy.policy.budgets import VERDICTS
from proxy.policy.cel import REQUIRES, Expression, ExpressionFault, Scope, Variables
from proxy.policy.facts import Evidence, Facts
from proxy.policy.modes import in_shadow
from proxy.policy.problems import Problem, did_you_mean
from proxy.policy.site import Site


@dataclass(frozen=True, slots=True, eq=False)
class Require:
    """One entry of `requires:`."""

    name: str
    for_: tuple[str, ...]
    evidence: tuple[str, ...]
    when: Expression | None
    same_target: bool
    within_ms: int | None
    verdict: Verdict
    message: str | None
    site: Site
    file: str
    line: int
    shadow: bool = False

    def concerns(self, kind: str) -> bool:
        return any(fnmatchcase(kind, pattern) for pattern in self.for_)

    def wants(self, kind: str) -> bool:
        """Whether a result of an effect of this kind is evidence for this entry."""
        return any(fnmatchcase(kind, pattern) for pattern in self.evidence)

    def judge(
        self, effect: Effect, scope: Scope, facts: Facts, kinds: Sequence[str], tools: Sequence[str]
    ) -> Reason | None:
        """Returns why an effect may not happen yet; `kinds` and `tools` are those that give evidence."""
        if self.same_target and effect.target is None:
            return self._reason("the effect has no target, so that no evidence can be about it")
        target = effect.target if self.same_target else None
        on = f" for '{target}'" if target is not None else ""
        first = f" Call {' or '.join(tools)}{on} first." if tools else ""
        found = facts.evidence(kinds, target)
        if found is None:
            return self._reason(f"there is no {' or '.join(self.evidence)}{on} yet.{first}")
        age_ms = facts.now_ms - found.at_ms
        if self.within_ms is not None and age_ms > self.within_ms:
            age = f"{age_ms // 1000} s old, at most {self.within_ms // 1000} s are allowed"
            return self._reason(f"the last {found.kind}{on} is too old ({age}).{first}")
        if found.is_error and self.when is None:
            return self._reason(f"the last {found.kind}{on} failed.{first}")
        if self.when is None:
            return None
        try:
            if self.when.truth(Scope(_variables(found, age_ms), scope)):
                return None
        except ExpressionFault as error:
            text = f"the last {found.kind}{on} does not show it: '{self.when.text}': {error}."
            return self._reason(text)
        return self._reason(f"the last {found.kind}{on} does not show that {self.when.text}.")

    def _reason(self, text: str) -> Reason:
        said = f"Requirement '{self.name}': {text}"
        if self.message:
            said = f"{self.message} ({said})"
        return Reason(self.name, said, self.verdict, self.file, self.line, self.shadow)


def _variables(found: Evidence, age_ms: int) -> Variables:
    return {
        "evidence.kind": found.kind,
        "evidence.tool": found.tool,
        "evidence.side": found.side.value,
        "evidence.is_error": found.is_error,
        "evidence.text": found.text,
        "evidence.age_s": age_ms // 1000,
        "evidence.result.json": found.document,
        "evidence.result.text": found.text,
        "evidence.result.is_error": found.is_error,
    }


def compile_require(part: schema.Require, site: Site) -> Require | None:
    """Compiles one entry; mistakes go to the site's list."""
    when = None
    if part.when is not None:
        when = site.at("when").expression(part.when, REQUIRES, "when", frozenset({"BOOL"}))
        if when is None:
            return None
    return Require(
        name=part.name,
        for_=part.for_,
        evidence=part.evidence,
        when=when,
        same_target=part.same == "target",
        within_ms=part.within,
        verdict=VERDICTS[part.otherwise],
        message=part.message,
        site=site,
        file=site.file,
        line=site.line,
        shadow=in_shadow(part.mode, site),
    )


def check_require(require: Require, kinds: Iterable[str]) -> Iterable[Problem]:
    """Returns a warning for what no tool's effect can be, or can show."""
    produced = sorted(set(kinds))
    for key, patterns in (("for", require.for_), ("evidence", require.evidence)):
        for pattern in patterns:
            if any(fnmatchcase(kind, pattern) for kind in produced):
                continue
            near = did_you_mean(pattern, produced)
            yield require.site.at(key).problem(f"no tool produces an effect '{pattern}'{near}")


def evidence_tools(
    require: Require, tools: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the kinds that are evidence, and the tools that bring them; `tools` is a kind's tools."""
    kinds = tuple(kind for kind in tools if require.wants(kind))
    named = dict.fromkeys(name for kind in kinds for name in tools[kind])
    return kinds, tuple(named)[:3]
