"""Servers that speak Chat in their own way: raw bytes as seen in their documentation and in bug reports.

Each `Vendor` says under which path it answers, what a stream and a body of it look like, which calls
are in there, and what its server refuses in the next turn. Sources stand with each (read 2026-11).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from proxy.cli.demo.loopback import Loopback

ARGS = '{"order_id": "A-1", "amount": 150}'
DONE = b"data: [DONE]\n\n"
SIGNATURE = {"google": {"thought_signature": "CvUBAdHtim9…"}}
THOUGHT = "The user wants a tool."
DETAILS = [
    {"type": "reasoning.text", "text": "The user ", "format": "anthropic-claude-v1", "index": 0},
    {"type": "reasoning.text", "text": "wants a tool.", "signature": "Sig==", "index": 0},
]
WHOLE_DETAILS = [DETAILS[0] | DETAILS[1] | {"text": THOUGHT}]


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    """One frame; no delta: no choice."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    made = {
        "id": "chatcmpl-7",
        "object": "chat.completion.chunk",
        "created": 1763999999,
        "model": "m",
        "choices": [] if delta is None else [choice],
    }
    return b"data: " + json.dumps(made | more).encode() + b"\n\n"


def entry(
    index: int | None,
    call_id: str | None = None,
    name: Any = None,
    arguments: Any = None,
    **more: Any,
) -> dict[str, Any]:
    """A fragment with just what is given; `name=None` leaves the name out."""
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    made: dict[str, Any] = {} if index is None else {"index": index}
    if call_id is not None:
        made |= {"id": call_id, "type": "function"}
    return made | more | {"function": function}


def calls(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"tool_calls": list(entries)} | more


def body(message: dict[str, Any], finish: str = "tool_calls", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
    made = {"id": "chatcmpl-7", "object": "chat.completion", "created": 1763999999, "model": "m"}
    return json.dumps(made | {"choices": [choice]} | more).encode()


def whole(*names: str, **more: Any) -> dict[str, Any]:
    """The message of a body with these calls."""
    made = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": ARGS}}
        for n, name in enumerate(names)
    ]
    return {"content": None, "tool_calls": made} | more


def _assistants(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [m for m in messages if m["role"] == "assistant" and m.get("tool_calls")]


def wants_thoughts(messages: list[dict[str, Any]]) -> str | None:
    """https://api-docs.deepseek.com/guides/thinking_mode"""
    if all(m.get("reasoning_content") == THOUGHT for m in _assistants(messages)):
        return None
    return "The reasoning_content in the thinking mode must be passed back to the API."


def wants_details(messages: list[dict[str, Any]]) -> str | None:
    """https://openrouter.ai/docs/use-cases/reasoning-tokens"""
    good = all(
        m.get("reasoning_details") in (DETAILS, WHOLE_DETAILS) for m in _assistants(messages)
    )
    return None if good else "reasoning_details are not those of the answer"


def wants_signature(messages: list[dict[str, Any]]) -> str | None:
    """https://ai.google.dev/gemini-api/docs/thought-signatures"""
    first = [m["tool_calls"][0] for m in _assistants(messages)]
    if all(one.get("extra_content") == SIGNATURE for one in first):
        return None
    return "Function call is missing a thought_signature in functionCall parts."


@dataclass(frozen=True, slots=True)
class Vendor:
    """One server's way of answering with calls to the tools named."""

    path: str
    stream: Callable[[str], bytes]
    plain: Callable[[str], bytes]
    refuses: Callable[[list[dict[str, Any]]], str | None] = lambda _: None


def _azure(name: str) -> bytes:
    """https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter"""
    safe = {"hate": {"filtered": False, "severity": "safe"}}
    first = chunk(None, prompt_filter_results=[{"prompt_index": 0, "content_filter_results": safe}])
    return (
        first.replace(b"chatcmpl-7", b"")
        + chunk({"role": "assistant", "content": None} | calls(entry(0, "call_0", name, "")))
        + chunk(calls(entry(0, arguments=ARGS[:9])))
        + chunk(calls(entry(0, arguments=ARGS[9:])))
        + chunk({}, "tool_calls")
        + DONE
    )


def _openrouter(name: str) -> bytes:
    return (
        b": OPENROUTER PROCESSING\n\n" * 2
        + chunk({"role": "assistant", "content": "", "reasoning_details": [DETAILS[0]]})
        + chunk({"role": "assistant", "content": "", "reasoning_details": [DETAILS[1]]})
        + chunk({"role": "assistant", "content": None} | calls(entry(0, "call_0", name, "")))
        + b": OPENROUTER PROCESSING\n\n"
        + chunk({"role": "assistant", "content": None} | calls(entry(0, arguments=ARGS)))
        + chunk({"role": "assistant", "content": ""}, "tool_calls")
        + chunk(None, usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
        + DONE
    )


def _deepseek(name: str) -> bytes:
    return (
        chunk({"role": "assistant", "content": None, "reasoning_content": ""})
        + chunk({"content": None, "reasoning_content": THOUGHT[:8]})
        + chunk({"content": None, "reasoning_content": THOUGHT[8:]})
        + chunk(calls(entry(0, "call_0", name, "")))
        + chunk(calls(entry(0, arguments=ARGS)))
        + chunk({"content": "", "reasoning_content": None}, "tool_calls")
        + DONE
    )


def _xai(name: str) -> bytes:
    """A call whole in one chunk: https://docs.x.ai/docs/guides/function-calling"""
    return (
        chunk({"role": "assistant", "content": "Let me see."})
        + chunk(calls(entry(0, "call_0", name, ARGS)))
        + chunk({"role": "assistant", "content": ""}, "tool_calls")
        + DONE
    )


def _vllm(name: str) -> bytes:
    """An empty id in later fragments: https://github.com/InternLM/lmdeploy/issues/3412"""
    return (
        chunk({"role": "assistant", "content": ""})
        + chunk(calls(entry(0, "chatcmpl-tool-0", name, "")))
        + chunk(calls(entry(0, "", None, ARGS[:5])))
        + chunk(
            {"tool_calls": [{"index": 0, "id": "", "function": {"name": None, "arguments": None}}]}
        )
        + chunk(calls(entry(0, "", None, ARGS[5:])))
        + chunk({"content": ""}, "tool_calls", stop_reason=None)
        + DONE
    )


def _gemini(name: str) -> bytes:
    """No index, and "stop" at the end: https://github.com/googleapis/python-genai/issues/2868"""
    made = entry(None, "function-call-1", name, ARGS, extra_content=SIGNATURE)
    return chunk({"role": "assistant"} | calls(made)) + chunk({"role": "assistant"}, "stop") + DONE


def _groq(name: str) -> bytes:
    """`x_groq`, whole calls: https://console.groq.com/docs/tool-use"""
    return (
        chunk({"role": "assistant", "content": None}, x_groq={"id": "req_1"})
        + chunk(calls(entry(0, "call_0", name, ARGS)))
        + chunk({}, "tool_calls", x_groq={"id": "req_1", "usage": {"total_tokens": 9}})
        + DONE
    )


def _fireworks(name: str) -> bytes:
    """The role in each chunk, `index` null in none but the first: Together and Fireworks."""
    return (
        chunk({"role": "assistant", "content": None})
        + chunk({"role": "assistant", "content": None} | calls(entry(0, "call_0", name, None)))
        + chunk({"role": "assistant"} | calls(entry(0, arguments=ARGS)))
        + chunk({"role": "assistant", "content": ""}, "tool_calls", usage={"total_tokens": 3})
        + DONE
    )


VENDORS = {
    "azure": Vendor(
        "/openai/deployments/gpt-5-mini/chat/completions",
        _azure,
        lambda name: body(whole(name), prompt_filter_results=[{"prompt_index": 0}]),
    ),
    "azure v1": Vendor("/openai/v1/chat/completions", _azure, lambda name: body(whole(name))),
    "openrouter": Vendor(
        "/api/v1/chat/completions",
        _openrouter,
        lambda name: body(whole(name, reasoning_details=WHOLE_DETAILS)),
        wants_details,
    ),
    "deepseek": Vendor(
        "/chat/completions",
        _deepseek,
        lambda name: body(whole(name, reasoning_content=THOUGHT)),
        wants_thoughts,
    ),
    "xai": Vendor("/v1/chat/completions", _xai, lambda name: body(whole(name))),
    "vllm": Vendor("/vllm/v1/chat/completions", _vllm, lambda name: body(whole(name))),
    "gemini": Vendor(
        "/v1beta/openai/chat/completions",
        _gemini,
        lambda name: body(
            {"tool_calls": [whole(name)["tool_calls"][0] | {"extra_content": SIGNATURE}]}
        ),
        wants_signature,
    ),
    "groq": Vendor("/openai/v1/chat/completions", _groq, lambda name: body(whole(name))),
    "fireworks": Vendor(
        "/inference/v1/chat/completions", _fireworks, lambda name: body(whole(name))
    ),
}


class CompatibleModel(Loopback):
    """Serves every vendor under `/{vendor}` and its own path; the first user message names the tool.

    A turn that ends in results is answered with text, if its history is one the server takes.
    """

    def __init__(self) -> None:
        self.rejected: list[str] = []
        self.histories: list[list[dict[str, Any]]] = []
        routes = [
            Route(f"/{key.replace(' ', '-')}{vendor.path}", self._serve(vendor), methods=["POST"])
            for key, vendor in VENDORS.items()
        ]
        super().__init__(Starlette(routes=routes))

    def _serve(self, vendor: Vendor):  # type: ignore[no-untyped-def]  # Starlette's own type is private
        async def respond(request: Request) -> Response:
            sent = await request.json()
            messages = sent["messages"]
            if problem := _unanswered(messages) or vendor.refuses(messages):
                self.rejected.append(problem)
                return JSONResponse({"error": {"message": problem}}, 400)
            self.histories.append(messages)
            name = messages[0]["content"]
            if len(messages) > 1:
                text = {"role": "assistant", "content": "All done."}
                stream, plain = chunk(text) + chunk({}, "stop") + DONE, body(text, "stop")
            else:
                stream, plain = vendor.stream(name), vendor.plain(name)
            if not sent.get("stream"):
                return Response(plain, media_type="application/json")

            async def frames() -> AsyncIterator[bytes]:
                for at in range(0, len(stream), 100):
                    yield stream[at : at + 100]

            return StreamingResponse(frames(), media_type="text/event-stream")

        return respond


def _unanswered(messages: list[dict[str, Any]]) -> str | None:
    for n, message in enumerate(messages):
        wanted = {one["id"] for one in message.get("tool_calls") or ()}
        given = set()
        for later in messages[n + 1 :]:
            if later["role"] != "tool":
                break
            given.add(later["tool_call_id"])
        if message["role"] == "assistant" and wanted != given:
            return f"tool_call_ids did not have response messages: {wanted ^ given}"
    return None
