"""Requests of InvokeModel: in the shape of the model's own API, told by the body.

What belongs here: which codec reads and restores a body. Bodies that nobody here reads (embeddings,
images, plain prompts) carry neither tools nor results; what they say as a prompt is taken as the user's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from proxy.canonical import digest
from proxy.errors import WireError
from proxy.model import Json, ToolDefinition, ToolResult
from proxy.wire.anthropic.protocol import PROTOCOL as MESSAGES
from proxy.wire.bedrock import converse_request
from proxy.wire.bedrock.invoke_memory import ANTHROPIC, CHAT, COHERE, NOVA, PLAIN, unwrapped
from proxy.wire.chat.protocol import PROTOCOL as CHAT_PROTOCOL
from proxy.wire.codec import ParsedRequest, RefusedResponse
from proxy.wire.jsontext import call_from_value, decode_object, encode
from proxy.wire.limits import answers_wanted, output_limit
from proxy.wire.unnamed import named

_WHAT = "bedrock: request"
_INNER, _FAMILY = "inner", "family"
_PROMPTS = ("prompt", "inputText", "message", "input_text")


def parse(body: bytes, *, provider: str, model: str | None, stream: bool) -> ParsedRequest:
    """Reads a request body.

    Raises:
        WireError: not JSON, or not of the shape that it looks like.
    """
    document = decode_object(body, _WHAT)
    family = _family_of(document)
    if family == ANTHROPIC:
        read = MESSAGES.parse_request(body)
    elif family == CHAT:
        read = CHAT_PROTOCOL.parse_request(body)
    elif family == NOVA:
        read = converse_request.parse_document(
            document, provider=provider, model=model, stream=stream
        )
    else:
        read = _plain(document, family)
    return replace(
        read,
        provider=provider,
        document={_FAMILY: family, _INNER: read.document},
        model=model,
        stream=stream,
        hints=read.hints,
    )


def restore(request: ParsedRequest, memories: Sequence[RefusedResponse]) -> bytes | None:
    """Returns the body with what its own family's memories hold put back; None: no change."""
    family = request.document[_FAMILY]
    inner = replace(request, document=request.document[_INNER])
    mine = unwrapped(memories, family)
    if not mine:
        return None
    if family == ANTHROPIC:
        return MESSAGES.restore(replace(inner, provider=MESSAGES.name), mine)
    if family == CHAT:
        return CHAT_PROTOCOL.restore(replace(inner, provider=CHAT_PROTOCOL.name), mine)
    made = converse_request.restore(inner.document, mine)
    return None if made is None else encode(made)


def _family_of(document: dict[str, Json]) -> str:
    if "anthropic_version" in document:
        return ANTHROPIC
    messages = document.get("messages")
    if not isinstance(messages, list):
        return COHERE if isinstance(document.get("message"), str) else PLAIN
    if "schemaVersion" in document or "toolConfig" in document or "inferenceConfig" in document:
        return NOVA
    blocks = [
        block
        for message in messages
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        for block in message["content"]
        if isinstance(block, dict)
    ]
    return NOVA if blocks and not any("type" in block for block in blocks) else CHAT


def _plain(document: dict[str, Json], family: str) -> ParsedRequest:
    prompt = next((v for k in _PROMPTS if isinstance(v := document.get(k), str)), "")
    return ParsedRequest(
        provider="",
        document=document,
        results=tuple(_cohere_results(document)) if family == COHERE else (),
        tools=tuple(_cohere_tools(document)) if family == COHERE else (),
        user_text=prompt,
        opening=prompt,
        max_output_tokens=output_limit(
            document,
            *("max_tokens", "max_tokens_to_sample", "maxTokens"),  # Cohere, Mistral; Claude 2; AI21
            *("max_gen_len", "textGenerationConfig.maxTokenCount"),  # Llama; Titan
        ),
        answers=answers_wanted(document, "num_generations", "numResults", "n"),
    )


def _cohere_results(document: dict[str, Json]) -> Iterator[ToolResult]:
    """Command R's results carry the call they answer, and no id:
    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-cohere-command-r-plus.html
    (read 2026-11).
    """
    results = document.get("tool_results")
    for result in results if isinstance(results, list) else ():
        asked = result.get("call") if isinstance(result, dict) else None
        if not isinstance(asked, dict):
            raise WireError(f"{_WHAT}: a tool result without its call")
        name = asked.get("name")
        call = named(
            call_from_value(
                asked.get("parameters") or {},
                id=None,
                name=name if isinstance(name, str) else "",
                provider="",
            )
        )
        text = encode(result.get("outputs")).decode()
        yield ToolResult(call.id, call.name, text, args_sha256=call.args_sha256)


def _cohere_tools(document: dict[str, Json]) -> Iterator[ToolDefinition]:
    tools = document.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict):
            name = tool.get("name")
            yield ToolDefinition(name if isinstance(name, str) else "", digest(tool), tool)
