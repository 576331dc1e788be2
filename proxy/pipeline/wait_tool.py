"""The tool `wait_for_approval`, which agents are offered where the rules say so (`wait_tool: true`).

What belongs here: what the tool is, whose holds it may ask about, and what it answers. How it works. checkrein puts the tool into what an MCP server lists and into what a model
is offered, and answers its calls itself: they wait as a held call does, and then say what became of the hold. It lets nothing pass: the agent makes its call again. An agent
asks about its own holds alone; of all others, and of ids that it guesses, it is told the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import HoldError
from proxy.model import Hold, HoldState, Identity, Json
from proxy.pipeline.core import Pipeline

NAME = "wait_for_approval"
DESCRIPTION = (
    "Waits until a human has answered a tool call of yours that is pending. Give the hold's id from the message that said "
    "so. When it says approved, make the very same call again, once. When it says denied, do not."
)
SCHEMA: Json = {
    "type": "object",
    "properties": {"hold": {"type": "string", "description": "The hold's id."}},
    "required": ["hold"],
    "additionalProperties": False,
}
UNKNOWN = (
    "There is no such hold of yours. Give the id as the message about the pending call said it."
)


async def hold_asked_for(pipeline: Pipeline, identity: Identity, arguments: Json) -> Hold | None:
    """Returns the hold that a call of the tool is about; None where it is none of this agent's."""
    named = arguments.get("hold") if isinstance(arguments, Mapping) else None
    if not isinstance(named, str) or len(named) > 64:
        return None
    try:
        hold, _ = await pipeline.desk.with_former(named.strip())
    except HoldError:
        return None
    return hold if hold.agent == identity.agent else None


def outcome(hold: Hold) -> str:
    """Returns what the agent is told."""
    call = f"{hold.name} (hold {hold.id})"
    reason = f" They say: {hold.reason}" if hold.reason else ""
    match hold.state:
        case HoldState.PENDING:
            return f"Still pending: nobody has answered {call} yet. You may wait again, or go on with something else."
        case HoldState.APPROVED:
            return f"Approved: make the very same call of {call} again now; it passes once.{reason}"
        case HoldState.USED:
            return f"The approval of {call} has been used: the call ran."
        case HoldState.SUPERSEDED:
            return f"The rules ask for more now: wait for hold {hold.superseded_by} instead of {hold.id}."
        case HoldState.DENIED:
            return f"Denied: do not make the call of {call} again.{reason}"
        case _:
            return f"{hold.state.value.capitalize()}: {call} was not answered in time. Make the call again if it is still needed."
