"""A tool server over stdio that keeps a record of what it did, and can misbehave when told to.

`stdio_server.py RECORD [FAULT]`: each tool call is a line in RECORD. Faults: `noise` writes lines to stdout
that are no messages, `exit` ends with code 7 when `leave` is called.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CreateMessageResult, SamplingMessage, TextContent

record, fault = Path(sys.argv[1]), (sys.argv[2:] or [""])[0]
server = MCPServer("billing")


def did(what: str) -> None:
    with record.open("a") as file:
        file.write(what + "\n")


@server.tool()
def refund_order(order_id: str, amount: float) -> str:
    did(f"refund {order_id} {amount:g}")
    return f"refunded {amount:g}"


@server.tool()
def look_up(order_id: str) -> str:
    did(f"look_up {order_id}")
    return f"order {order_id}"


@server.tool()
def forbidden(order_id: str) -> str:
    did(f"forbidden {order_id}")
    return "deleted"


@server.tool()
async def slow(seconds: float) -> str:
    did("slow")
    await asyncio.sleep(seconds)
    return "slept"


@server.tool()
async def ask_model(context: Context) -> str:
    question = SamplingMessage(role="user", content=TextContent(type="text", text="hello?"))
    answer = await context.session.create_message(messages=[question], max_tokens=10)
    assert isinstance(answer, CreateMessageResult)
    return str(answer.content)


@server.tool()
def leave() -> str:
    os._exit(7)


if __name__ == "__main__":
    sys.stderr.write("the server's own stderr\n")
    if fault == "noise":
        os.write(1, b'starting up...\n{"not": "a message"}\n\n')
    server.run("stdio")
