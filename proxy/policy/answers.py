"""What rules ask of humans' answers, and how long clients may be kept: `approvals:` and `waiting:`.

What belongs here: the two compiled entries. How it works. An entry of `approvals:` is about rules by their names; each rule that holds
a call brings an `Ask` for every entry that is about it, and all of them must be met (`proxy/approval.py`). An entry of `waiting:` is
about clients by their User-Agent; the first that fits counts. Where two entries of `approvals:` say how long to wait, the shorter one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from proxy.model import Ask, Reason, Verdict
from proxy.policy import schema
from proxy.policy.problems import did_you_mean
from proxy.policy.site import Site

if TYPE_CHECKING:
    from proxy.policy.load import Loaded

BUILT_IN = (
    "unmapped",
    "unparsed",
    "opaque",
    "model-price",
    "unmapped-sql",
    "opaque-sql",
    "unreadable-argument",
)
"""What holds a call without a rule's name."""
_GLOB = set("*?[")


@dataclass(frozen=True, slots=True)
class Approval:
    """One entry of `approvals:`."""

    name: str
    for_: tuple[str, ...]
    by: tuple[str, ...]
    approvals: int
    escalate_to: tuple[str, ...]
    escalate_after_ms: int | None
    wait_ms: int | None
    any_session: bool
    site: Site
    file: str
    line: int
    shadow: bool = False  # never: what a file in shadow asks nobody is asked

    def is_about(self, rule: str) -> bool:
        return any(fnmatchcase(rule, pattern) for pattern in self.for_)

    def ask(self, rule: str) -> Ask:
        """Returns what it asks where this rule holds a call."""
        return Ask(
            rule=rule,
            by=self.by,
            approvals=self.approvals,
            escalate_to=self.escalate_to,
            escalate_after_ms=self.escalate_after_ms,
            wait_ms=self.wait_ms,
            any_session=self.any_session,
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """One entry of `waiting:`: how long such a client is kept, and how often it hears something."""

    client: str
    wait_s: float | None
    keepalive_s: float | None
    file: str
    line: int

    def is_for(self, user_agent: str) -> bool:
        return fnmatchcase(user_agent.lower(), self.client)


def asks_of(approvals: Sequence[Approval], reasons: Iterable[Reason]) -> tuple[Ask, ...]:
    """Returns what is asked of the answer to a call that these reasons hold."""
    holding = dict.fromkeys(r.rule for r in reasons if r.verdict is Verdict.HOLD and not r.shadow)
    made = [
        approval.ask(rule) for rule in holding for approval in approvals if approval.is_about(rule)
    ]
    return tuple(dict.fromkeys(made))


def compile_approval(part: schema.ApprovalPart, site: Site) -> Approval | None:
    """Compiles one entry; mistakes go to the site's list."""
    escalate = part.escalate
    if escalate is not None and not part.by:
        site.at("escalate").fault(
            "'escalate' goes with 'by': without it anybody may answer already"
        )
        return None
    return Approval(
        name=part.name,
        for_=part.for_,
        by=part.by,
        approvals=part.approvals,
        escalate_to=() if escalate is None else escalate.to,
        escalate_after_ms=None if escalate is None else escalate.after,
        wait_ms=part.wait,
        any_session=bool(part.any_session),
        site=site,
        file=site.file,
        line=site.line,
    )


def compile_waiting(part: schema.WaitingPart, site: Site) -> Waiting | None:
    """Compiles one entry; mistakes go to the site's list."""
    if part.wait is None and part.keepalive is None:
        site.fault("needs one of 'wait' and 'keepalive', or both")
        return None
    return Waiting(
        client=part.client.lower(),
        wait_s=None if part.wait is None else part.wait / 1000,
        keepalive_s=None if part.keepalive is None else part.keepalive / 1000,
        file=site.file,
        line=site.line,
    )


def check_approvals(loaded: Loaded) -> None:
    """Reports names under `for:` that no rule has."""
    named = [loaded.gates, loaded.budgets, loaded.chains, loaded.requires, loaded.signals]
    known = {*BUILT_IN, *(rule.name for rules in named for rule in rules)}  # type: ignore[attr-defined]
    for approval in loaded.approvals:
        for rule in approval.for_:
            if rule in known or set(rule) & (_GLOB | {"/"}):
                continue  # "pack/tool#0" is what an effect that cannot be read holds as
            approval.site.at("for").fault(
                f"for: no rule is called '{rule}'{did_you_mean(rule, known)}"
            )
