"""What the judge answers: one value that the glue acts on and the log tells."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.model import BudgetState, Call, Entry, Hold, HoldState, Reason, Verdict


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one call, with all that led to it.

    What rules in shadow say stands in fields of its own: an agent is told of `reasons` and `budgets`.
    """

    verdict: Verdict
    call: Call
    reasons: tuple[Reason, ...] = ()
    budgets: tuple[BudgetState, ...] = ()
    hold: Hold | None = None  # set when the verdict is HOLD, or an approval let the call pass
    would: Verdict | None = None  # in shadow mode, and for calls that cannot be held
    shadow_reasons: tuple[Reason, ...] = ()  # of rules in shadow: for the log and people alone
    shadow_budgets: tuple[BudgetState, ...] = ()
    repeated: bool = False  # this very call was decided before; nothing was counted again
    bound: Entry | None = None  # the model-side entry that already counts this very action
    grants: tuple[str, ...] = ()  # without which it would have been held
    drift: Entry | None = None  # the model-side entry that a tool-side call is a changed form of

    @property
    def pending(self) -> Hold | None:
        """The hold that waits for a human, where the call does."""
        hold = self.hold
        if self.verdict is not Verdict.HOLD or hold is None or hold.state is not HoldState.PENDING:
            return None
        return hold
