"""What the vendors' own SDKs find in an answer: the names of all tool calls, in order of appearance.

One reader an API. Each gives the SDK the bytes through its own HTTP client and looks at what the
SDK hands to the agent: deltas and events as they come, so that a call counts even where the SDK
raises later. An exception ends the reading; what was found before it stands.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import anthropic
import boto3
import botocore.awsrequest
import botocore.config
import cohere
import httpx
import httpx2
import mistralai.client
import ollama
import openai
import urllib3
from google import genai
from google.genai import types


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer as an SDK gets it; `stream`: asked for by the SDK's streaming method."""

    body: bytes
    content_type: str
    stream: bool
    status: int = 200
    path: str = ""  # where the API has several endpoints: the last segments of the path


type Reader = Callable[[Answer], list[str]]


class _Replay:
    """The answer that the cached SDK client of an API will get next."""

    def __init__(self) -> None:
        self.answer = Answer(b"", "application/json", stream=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": self.answer.content_type}

    def new(self, _: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(self.answer.status, headers=self.headers, content=self.answer.body)

    def old(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(self.answer.status, headers=self.headers, content=self.answer.body)


_replay = _Replay()


def _reader(names: Callable[[Answer], Iterator[str]]) -> Reader:
    def read(answer: Answer) -> list[str]:
        return _read(names, answer)[0]

    return read


def _read(names: Callable[[Answer], Iterator[str]], answer: Answer) -> tuple[list[str], str | None]:
    _replay.answer = answer
    found: list[str] = []
    try:
        found.extend(names(answer))
    except Exception as error:  # noqa: BLE001  # the SDK refuses the rest, so does the agent
        return found, type(error).__name__
    return found, None


def read_whole(api: str, answer: Answer) -> tuple[list[str], str | None]:
    """Returns the calls an SDK finds, and the name of the exception it ends with, if any."""
    return _read(_NAMES[api], answer)


# --- OpenAI -----------------------------------------------------------------------------------------


@cache
def _openai() -> openai.OpenAI:
    http = httpx2.Client(transport=httpx2.MockTransport(_replay.new))
    return openai.OpenAI(api_key="k", base_url="http://x/v1", max_retries=0, http_client=http)


def _chat_names(part: Any) -> Iterator[str]:
    for call in part.tool_calls or ():
        inner = getattr(call, "function", None) or getattr(call, "custom", None)
        yield getattr(inner, "name", None) or ""
    if part.function_call:
        yield part.function_call.name or ""


def _chat(answer: Answer) -> Iterator[str]:
    api: Any = _openai().chat.completions
    if not answer.stream:
        for choice in api.create(model="m", messages=[]).choices:
            yield from _chat_names(choice.message)
        return
    # Later deltas of a call have no name, or the same name once more: no new call.
    named: set[tuple[Any, ...]] = set()
    for chunk in api.create(model="m", messages=[], stream=True):
        for choice in chunk.choices or ():
            delta = choice.delta
            shown: list[tuple[Any, ...]] = []
            if delta.function_call and delta.function_call.name:
                shown.append((choice.index, delta.function_call.name))
            for call in delta.tool_calls or ():
                inner = getattr(call, "function", None) or getattr(call, "custom", None)
                if name := getattr(inner, "name", None):
                    shown.append((choice.index, call.index, call.id, name))
            yield from (one[-1] for one in dict.fromkeys(shown) if one not in named)
            named.update(shown)


_RESPONSE_CALLS = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "computer_call",
        "mcp_approval_request",
    }
)


def _responses(answer: Answer) -> Iterator[str]:
    api: Any = _openai().responses
    if not answer.stream:
        yield from _items(api.create(model="m", input="x").output)
        return
    for event in api.create(model="m", input="x", stream=True):
        if getattr(event, "item", None) is not None:
            if event.type == "response.output_item.done":
                yield from _items([event.item])
        elif event.type in ("response.completed", "response.incomplete"):
            continue  # the same items once more


def _items(items: Any) -> Iterator[str]:
    for item in items or ():
        if item.type in _RESPONSE_CALLS:
            yield getattr(item, "name", None) or item.type


# --- Anthropic --------------------------------------------------------------------------------------


@cache
def _anthropic() -> anthropic.Anthropic:
    http = httpx2.Client(transport=httpx2.MockTransport(_replay.new))
    return anthropic.Anthropic(api_key="k", base_url="http://x", max_retries=0, http_client=http)


def _messages(answer: Answer) -> Iterator[str]:
    api: Any = _anthropic().messages
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    if not answer.stream:
        for block in api.create(**asked).content:
            if block.type == "tool_use":
                yield block.name
        return
    for event in api.create(**asked, stream=True):
        if event.type == "content_block_start" and event.content_block.type == "tool_use":
            yield event.content_block.name


# --- Google -----------------------------------------------------------------------------------------


@cache
def _gemini_client() -> genai.Client:
    http = httpx.Client(transport=httpx.MockTransport(_replay.old))
    options = types.HttpOptions(base_url="http://x", httpx_client=http)
    return genai.Client(api_key="k", http_options=options)


def _gemini(answer: Answer) -> Iterator[str]:
    api: Any = _gemini_client().models
    if answer.stream:
        parts = api.generate_content_stream(model="m", contents="x")
    else:
        parts = iter([api.generate_content(model="m", contents="x")])
    for part in parts:
        for candidate in part.candidates or ():
            content = candidate.content
            for piece in (content.parts if content is not None else None) or ():
                if piece.function_call is not None:
                    yield piece.function_call.name or ""


# --- AWS --------------------------------------------------------------------------------------------


class _Raw(urllib3.HTTPResponse):
    """A urllib3 answer, which botocore reads its streams from."""


@cache
def _bedrock() -> Any:
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url="http://x",
        aws_access_key_id="AK",
        aws_secret_access_key="SK",
        config=botocore.config.Config(retries={"max_attempts": 0}),
    )

    def answer(request: Any, **_: Any) -> Any:
        import io

        raw = _Raw(io.BytesIO(_replay.answer.body), preload_content=False)
        return botocore.awsrequest.AWSResponse(
            request.url, _replay.answer.status, _replay.headers, raw
        )

    client.meta.events.register("before-send.bedrock-runtime", answer)
    return client


def _converse(answer: Answer) -> Iterator[str]:
    said = [{"role": "user", "content": [{"text": "x"}]}]
    if not answer.stream:
        message = _bedrock().converse(modelId="m", messages=said)["output"].get("message", {})
        for block in message.get("content", ()):
            if "toolUse" in block:
                yield block["toolUse"].get("name", "")
        return
    for event in _bedrock().converse_stream(modelId="m", messages=said)["stream"]:
        start = event.get("contentBlockStart", {}).get("start", {})
        if "toolUse" in start:
            yield start["toolUse"].get("name", "")


def _invoke(answer: Answer) -> Iterator[str]:
    if not answer.stream:
        body = _bedrock().invoke_model(modelId="m", body=b"{}")["body"].read()
        yield from _named(json.loads(body))
        return
    for event in _bedrock().invoke_model_with_response_stream(modelId="m", body=b"{}")["body"]:
        if "chunk" in event:
            yield from _named(json.loads(event["chunk"].get("bytes", b"null")))


def _named(value: Any) -> Iterator[str]:
    """Every tool call of the families that InvokeModel carries, wherever it stands."""
    if isinstance(value, list):
        for item in value:
            yield from _named(item)
    if not isinstance(value, dict):
        return
    if value.get("type") == "tool_use":
        yield str(value.get("name", ""))
    for key, inner in value.items():
        if key == "toolUse" and isinstance(inner, dict) and "name" in inner:
            yield str(inner["name"])
        elif key == "tool_calls" and isinstance(inner, list):
            for call in inner:
                function = call.get("function", call) if isinstance(call, dict) else {}
                if isinstance(function, dict) and function.get("name"):
                    yield str(function["name"])
        elif key not in ("input", "arguments", "parameters"):
            yield from _named(inner)


# --- Mistral, Cohere, Ollama ----------------------------------------------------------------------------


@cache
def _mistral_client() -> mistralai.client.Mistral:
    http: Any = httpx.Client(transport=httpx.MockTransport(_replay.old))
    return mistralai.client.Mistral(api_key="k", server_url="http://x", client=http)


def _mistral(answer: Answer) -> Iterator[str]:
    api: Any = _mistral_client().chat
    said = [{"role": "user", "content": "x"}]
    if not answer.stream:
        for choice in api.complete(model="m", messages=said).choices or ():
            yield from _functions(choice.message)
        return
    for event in api.stream(model="m", messages=said):
        for choice in event.data.choices:
            yield from _functions(choice.delta)


def _functions(part: Any) -> Iterator[str]:
    for call in getattr(part, "tool_calls", None) or ():
        if name := call.function.name:
            yield name


@cache
def _cohere_client(version: int) -> Any:
    http = httpx.Client(transport=httpx.MockTransport(_replay.old))
    made = cohere.ClientV2 if version == 2 else cohere.Client
    return made(api_key="k", base_url="http://x", httpx_client=http, max_retries=0)


def _cohere_v2(answer: Answer) -> Iterator[str]:
    api = _cohere_client(2)
    said = [{"role": "user", "content": "x"}]
    if not answer.stream:
        yield from _functions(api.chat(model="m", messages=said).message)
        return
    for event in api.chat_stream(model="m", messages=said):
        if event.type == "tool-call-start":
            message = event.delta.message if event.delta is not None else None
            call = message.tool_calls if message is not None else None
            if call is not None:
                yield (call.function.name if call.function is not None else None) or ""


def _cohere_v1(answer: Answer) -> Iterator[str]:
    api = _cohere_client(1)
    if not answer.stream:
        for call in api.chat(message="x").tool_calls or ():
            yield call.name
        return
    # Calls have no ids and come up to three times: as often as in the event with most of them.
    known: Counter[str] = Counter()
    pieces: Counter[str] = Counter()
    for event in api.chat_stream(message="x"):
        shown: Counter[str] = Counter()
        if event.event_type == "tool-calls-chunk":
            delta = event.tool_call_delta
            if delta is not None and delta.name:
                pieces[delta.name] += 1
            shown = pieces
        elif event.event_type == "tool-calls-generation":
            shown = Counter(call.name for call in event.tool_calls or ())
        elif event.event_type == "stream-end":
            shown = Counter(call.name for call in event.response.tool_calls or ())
        yield from (shown - known).elements()
        known |= shown


@cache
def _ollama_client() -> ollama.Client:
    return ollama.Client(host="http://x", transport=httpx.MockTransport(_replay.old))


def _ollama(answer: Answer) -> Iterator[str]:
    api: Any = _ollama_client()
    said = [{"role": "user", "content": "x"}]
    if not answer.stream:
        yield from _functions(api.chat(model="m", messages=said).message)
        return
    for part in api.chat(model="m", messages=said, stream=True):
        yield from _functions(part.message)


def _ollama_generate(answer: Answer) -> Iterator[str]:
    api: Any = _ollama_client()
    for part in api.generate(model="m", prompt="x", stream=True):
        yield from _functions(getattr(part, "message", None))


# --- history kept by the server -----------------------------------------------------------------------


def _interactions(answer: Answer) -> Iterator[str]:
    api: Any = _gemini_client().interactions
    made = api.create(model="m", input="x", stream=answer.stream)
    if not answer.stream:
        yield from (_step_name(step) for step in _step_calls(made))
        return
    known: set[str] = set()
    for event in made:
        steps = [getattr(event, "step", None), getattr(event, "content", None)]
        for step in [s for s in steps if _is_call(s)] + _step_calls(
            getattr(event, "interaction", None)
        ):
            # The interaction at the end shows the same calls once more.
            name = str(getattr(step, "id", None) or id(step))
            if name not in known:
                yield _step_name(step)
            known.add(name)


def _step_calls(interaction: Any) -> list[Any]:
    listed = (getattr(interaction, name, None) for name in ("steps", "outputs"))
    return [step for steps in listed for step in steps or () if _is_call(step)]


def _is_call(step: Any) -> bool:
    return str(getattr(step, "type", "")).endswith("_call")


def _step_name(step: Any) -> str:
    return str(getattr(step, "name", None) or step.type)


def _assistants(answer: Answer) -> Iterator[str]:
    api: Any = _openai().beta.threads.runs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if not answer.stream:
            yield from (name for _, name in _asked(api.retrieve("run_1", thread_id="t")))
            return
        events = api.create("t", assistant_id="a", stream=True)
    known: set[Any] = set()
    for event in events:
        calls = list(_asked(event.data))
        if event.event == "thread.run.step.delta":
            details = event.data.delta.step_details
            parts = getattr(details, "tool_calls", None) or ()
            functions = [part for part in parts if part.type == "function" and part.function]
            calls = [(part.id, part.function.name) for part in functions if part.function.name]
        for call_id, name in calls:
            if call_id not in known:
                yield name
            known.add(call_id)


def _asked(run: Any) -> Iterator[tuple[Any, str]]:
    action = getattr(run, "required_action", None)
    outputs = getattr(action, "submit_tool_outputs", None)
    for call in getattr(outputs, "tool_calls", None) or ():
        yield call.id, call.function.name


@cache
def _conversations_client() -> Any:
    with warnings.catch_warnings():  # the SDK leans on what Python 3.14 drops
        warnings.simplefilter("ignore", DeprecationWarning)
        http: Any = httpx.Client(transport=httpx.MockTransport(_replay.old))
        made = mistralai.client.Mistral(api_key="k", server_url="http://x", client=http)
        return made.beta.conversations


def _conversations(answer: Answer) -> Iterator[str]:
    api = _conversations_client()
    if not answer.stream:
        for output in api.start(inputs="x", model="m").outputs:
            if output.type == "function.call":
                yield output.name
        return
    known: set[str] = set()
    for event in api.start_stream(inputs="x", model="m"):
        if event.data.type == "function.call.delta":
            if event.data.tool_call_id not in known:
                yield event.data.name
            known.add(event.data.tool_call_id)


def _gemini_array(answer: Answer) -> Iterator[str]:
    """No SDK asks for an array: each element as google-genai reads an answer, as far as they go."""
    text = answer.body.decode(errors="replace").lstrip("\ufeff \t\r\n")
    at, decoder = 1, json.JSONDecoder()
    if not text.startswith("["):
        at = 0
    while True:
        while at < len(text) and text[at] in ", \t\r\n":
            at += 1
        value, at = decoder.raw_decode(text, at)
        _replay.answer = Answer(json.dumps(value).encode(), "application/json", stream=False)
        yield from _gemini(_replay.answer)


_NAMES: dict[str, Callable[[Answer], Iterator[str]]] = {
    "openai.chat": _chat,
    "openai.responses": _responses,
    "anthropic.messages": _messages,
    "gemini": _gemini,
    "bedrock.converse": _converse,
    "bedrock.invoke": _invoke,
    "mistral": _mistral,
    "cohere.v1": _cohere_v1,
    "cohere.v2": _cohere_v2,
    "ollama.chat": _ollama,
    "ollama.generate": _ollama_generate,
    "google.interactions": _interactions,
    "assistants": _assistants,
    "mistral.conversations": _conversations,
    "gemini.array": _gemini_array,
}
READERS: dict[str, Reader] = {api: _reader(names) for api, names in _NAMES.items()}
"""By the API's name, as the recordings name it."""
