"""A tool that is offered to a model besides the client's own: put into a request as its API wants tools.

What belongs here: the form of a tool for each API that has one here. A request without tools is left as it is, and so is one whose tools have the name already.
"""

from __future__ import annotations

from typing import Any

from proxy.model import Json


def with_tool(
    protocol: str, document: dict[str, Json], name: str, description: str, schema: Json
) -> dict[str, Json] | None:
    """Returns a request with one more tool; None where it has to stay as it is."""
    tools = document.get("tools")
    if not isinstance(tools, list) or not tools:
        return None
    function: dict[str, Any] = {"name": name, "description": description}
    match protocol:
        case "openai.chat":
            made: Json = {"type": "function", "function": {**function, "parameters": schema}}
        case "openai.responses":
            made = {"type": "function", **function, "parameters": schema, "strict": False}
        case "anthropic.messages":
            made = {**function, "input_schema": schema}
        case _:
            return None
    if any(_name_of(tool) == name for tool in tools):
        return None
    return {**document, "tools": [*tools, made]}


def _name_of(tool: Json) -> Json:
    if not isinstance(tool, dict):
        return None
    inner = tool.get("function")
    return inner.get("name") if isinstance(inner, dict) else tool.get("name")
