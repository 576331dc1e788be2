"""What an agent reads in place of a refused call.

Written for a model: what was not done, which rule, what is left of the budget, what it can do now.
The reference at the front finds the memory of the refusal in the next request (`wire/codec.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from proxy.model import BudgetState, HoldState, Verdict
from proxy.pipeline.decision import Decision

__all__ = ["budget_text", "refusal_text", "upstream_error_text"]


def refusal_text(decision: Decision, ref: str | None) -> str:
    """Returns the text that stands in a refused call's place and is its failed result."""
    name, hold = decision.call.name, decision.hold
    lead = f"[checkrein {ref}] " if ref else ""
    why = " ".join(reason.text for reason in decision.reasons if reason.verdict > Verdict.ALLOW)
    left = _left(decision.budgets)
    no = "Do not try it again in another form; go on without it or tell the user."
    if hold is not None and hold.state is HoldState.PENDING:
        return (
            f"{lead}The call {name} did not run: it waits for a human's approval "
            f"(hold {hold.id}, pending). {why}{left} Tell the user. When it has been approved, make "
            "exactly the same call again: it will pass once."
        )
    if hold is not None and hold.state in _ENDED:
        said = f" They said: {hold.reason}" if hold.reason else ""
        return (
            f"{lead}The call {name} was refused and did not run: {_ENDED[hold.state]} "
            f"(hold {hold.id}).{said} {why}{left} {no}"
        )
    return f"{lead}The call {name} was refused and did not run. {why}{left} {no}"


_ENDED = {
    HoldState.DENIED: "a human denied it",
    HoldState.EXPIRED: "nobody answered in time",
    HoldState.ABANDONED: "the connection ended while it waited",
}


def upstream_error_text(error: BaseException | str) -> str:
    """Returns what a client reads when checkrein itself could not judge: closed, and says so."""
    return (
        "checkrein could not judge this exchange and refused it; nothing was let through. "
        f"({error if isinstance(error, str) else type(error).__name__ + ': ' + str(error)})"
    )


def budget_text(state: BudgetState) -> str:
    """Returns why a budget stops a call, in a sentence."""
    unit = f" {state.unit}" if state.unit else ""
    return (
        f"Budget '{state.name}' would reach {plain(state.after)} of {plain(state.limit)}{unit} "
        f"({plain(state.before)} used)."
    )


def plain(amount: Decimal) -> str:
    """A decimal without exponent or trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _left(budgets: Sequence[BudgetState]) -> str:
    parts = [
        f"{plain(max(s.limit - s.before, Decimal(0)))}{' ' + s.unit if s.unit else ''} of '{s.name}'"
        for s in budgets
    ]
    return f" Left: {', '.join(parts)}." if parts else ""
