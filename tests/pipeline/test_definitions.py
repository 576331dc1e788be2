"""What tools are said to be, in the log: once a definition, cut, without secrets, from each API's own shape."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import proxy.wire.anthropic.request as anthropic
import proxy.wire.chat.request as chat
import proxy.wire.gemini.request as gemini
import proxy.wire.mistral.request as mistral
import proxy.wire.ollama.request as ollama
import proxy.wire.responses.request as responses
from proxy.errors import LogError
from proxy.logtail import verify
from proxy.model import Identity, ToolDefinition
from proxy.pipeline.definitions import Shown
from proxy.pipeline.mcp_pins import pin_tools
from proxy.wire.codec import ParsedRequest

if TYPE_CHECKING:
    from tests.conftest import Bench

SCHEMA = {
    "type": "object",
    "properties": {"order_id": {"type": "string", "description": "Which order."}},
    "required": ["order_id"],
}
FUNCTION = {"name": "refund", "description": "Refunds.", "parameters": SCHEMA}
WRAPPED = {"type": "function", "function": FUNCTION}


def request(*tools: dict[str, Any], opening: str = "hi") -> ParsedRequest:
    made = tuple(ToolDefinition(tool["function"]["name"], json.dumps(tool), tool) for tool in tools)
    return ParsedRequest("openai.chat", {}, tools=made, user_text=opening, opening=opening)


def offered(name: str = "refund", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {**FUNCTION, "name": name, **more}}


async def told(bench: Bench, *requests: ParsedRequest, who: Identity | None = None) -> list[Any]:
    for one in requests:
        await bench.pipeline.observe(who or bench.who(), one)
    return [tool for record in bench.records("tools") for tool in record["tools"]]


async def test_a_definition_is_written_once(bench: Bench) -> None:
    """Not with every turn, nor with every session of an agent; for another agent it is written."""
    await told(bench, request(offered()), request(offered(), opening="other"))
    await told(bench, request(offered()), who=bench.who("s2"))
    assert len(bench.records("tools")) == 1
    await told(bench, request(offered()), who=bench.who("s3", "a2"))
    (first, second) = bench.records("tools")
    assert (first["session"], second["agent"], first["side"]) == ("s1", "a2", "model")
    assert verify([bench.settings.log], expect_first=1).ok


async def test_a_changed_one_is_written_anew_and_alone(bench: Bench) -> None:
    found = await told(
        bench,
        request(offered(), offered("b")),
        request(offered(), offered("b", description="New.")),
    )
    assert [(t["name"], t["description"]) for t in found] == [
        ("refund", "Refunds."), ("b", "Refunds."), ("b", "New."),
    ]  # fmt: skip


async def test_after_a_day_it_is_written_again(bench: Bench) -> None:
    """A log that is rotated every day has it too."""
    await told(bench, request(offered()))
    bench.now_ms += 86_400_000
    assert len(await told(bench, request(offered(), opening="next day"))) == 2


async def test_what_could_not_be_logged_is_written_the_next_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise LogError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.writer, "_sink", full)
        with pytest.raises(LogError):
            await told(bench, request(offered()))
    assert len(await told(bench, request(offered()))) == 1


async def test_an_mcp_servers_list_is_written_with_its_hints(bench: Bench) -> None:
    """Only what is true or false of the annotations; the second listing is no news."""
    tool = {
        "name": "refund", "title": "T", "description": "Refunds.", "inputSchema": SCHEMA,
        "annotations": {"readOnlyHint": True, "title": "x", "destructiveHint": "yes"},
    }  # fmt: skip
    for _ in range(2):
        await pin_tools(bench.pipeline, bench.who(), "shop", {"tools": [tool]}, whole=True)
    (record,) = bench.records("tools")
    assert (record["server"], record["side"], record["provider"]) == ("shop", "mcp", "mcp")
    (told_,) = record["tools"]
    assert told_["annotations"] == {"readOnlyHint": True}
    assert told_["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("parse", "body"),
    [
        pytest.param(chat.parse, {"messages": [], "tools": [WRAPPED]}, id="chat"),
        pytest.param(chat.parse, {"messages": [], "functions": [FUNCTION]}, id="chat-legacy"),
        pytest.param(
            responses.parse_request,
            {"input": "x", "tools": [{"type": "function", **FUNCTION}]},
            id="responses",
        ),
        pytest.param(
            anthropic.parse_request,
            {
                "messages": [],
                "tools": [{"name": "refund", "description": "Refunds.", "input_schema": SCHEMA}],
            },
            id="anthropic",
        ),
        pytest.param(
            partial(mistral.parse_request, conversation=None, restarts=False),
            {"messages": [], "tools": [WRAPPED]},
            id="mistral",
        ),
        pytest.param(
            partial(gemini.parse_request, model="m", stream=False),
            {"contents": [], "tools": [{"functionDeclarations": [FUNCTION]}]},
            id="gemini",
        ),
        pytest.param(ollama.parse_request, {"messages": [], "tools": [WRAPPED]}, id="ollama"),
    ],
)
async def test_each_api_shows_its_tools(bench: Bench, parse: Any, body: dict[str, Any]) -> None:
    """Wherever an API keeps description and schema, the log has them in one shape."""
    parsed = parse(json.dumps(body).encode())
    (tool,) = await told(bench, parsed)
    assert (tool["name"], tool["description"], tool["schema"]) == ("refund", "Refunds.", SCHEMA)


@pytest.mark.parametrize(
    ("document", "schema"),
    [
        pytest.param({"toolSpec": {"inputSchema": {"json": SCHEMA}}}, SCHEMA, id="bedrock"),
        pytest.param(
            {"parameter_definitions": {"a": {"type": "str", "required": True}}},
            {"type": "object", "properties": {"a": {"type": "str"}}, "required": ["a"]},
            id="cohere-1",
        ),
        pytest.param(
            {"parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}},
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": []},
            id="gemini",
        ),
        pytest.param(
            {
                "parameters": {
                    "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/B"}},
                    "$defs": {
                        "A": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                        "B": {"$ref": "#/$defs/B"},
                    },
                }
            },
            {"properties": {"a": {"type": "integer"}, "b": {}}, "required": []},
            id="references",
        ),
        pytest.param(
            {
                "parameters": {
                    "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "number"}]}}
                }
            },
            {"properties": {"a": {"type": ["string", "number"]}}, "required": []},
            id="either",
        ),
        pytest.param({"parameters": "no schema"}, None, id="no-schema"),
        pytest.param({"parameters": {"properties": 7, "required": 7}}, {}, id="odd"),
        pytest.param(
            {"parameters": {"properties": {"a": True}, "required": ["a", "b", 3]}},
            {"properties": {"a": {}}, "required": ["a"]},
            id="any-value",
        ),
    ],
)
def test_schemas_of_every_shape(bench: Bench, document: dict[str, Any], schema: Any) -> None:
    """References are followed, a self-reference ends, other dialects become the same words."""
    assert _one(bench, document)["schema"] == schema


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"description": "Use key AKIAABCDEFGHIJKLMNOP"}, id="description"),
        pytest.param(
            {"parameters": {"properties": {"a": {"description": "AKIAABCDEFGHIJKLMNOP"}}}},
            id="field",
        ),
        pytest.param(
            {"parameters": {"properties": {"password": {"enum": ["AKIAABCDEFGHIJKLMNOP"]}}}},
            id="choice",
        ),
        pytest.param(
            {"parameters": {"properties": {"AKIAABCDEFGHIJKLMNOP": {"type": "string"}}}}, id="name"
        ),
        pytest.param(
            {"parameters": {"properties": {"a": {"default": "AKIAABCDEFGHIJKLMNOP"}}}}, id="default"
        ),
        pytest.param(
            {"parameters": {"properties": {"a": {"format": "AKIAABCDEFGHIJKLMNOP"}}}}, id="format"
        ),
        pytest.param({"description": "x" * 1990 + "AKIAABCDEFGHIJKLMNOP"}, id="across-the-cut"),
    ],
)
def test_no_secret_is_written(bench: Bench, document: dict[str, Any]) -> None:
    written = json.dumps(_one(bench, document))
    assert "AKIA" not in written


def test_what_is_long_is_cut(bench: Bench) -> None:
    """However large a definition, its record is small, and says that it was cut."""
    many = {f"a{n}": {"type": "string", "description": "d" * 5_000} for n in range(5_000)}
    tool = _one(bench, {"description": "x" * 100_000, "parameters": {"properties": many}})
    assert tool["cut"] is True
    assert len(json.dumps(tool)) < 60_000
    assert _one(bench, {"description": "short"}, digest="other")["cut"] is False


def test_a_record_has_an_end(bench: Bench) -> None:
    """A thousand large definitions at once: the names are there, not all that is said of them."""
    shown = [Shown(f"t{n}", str(n), {"description": "x" * 2_000}) for n in range(1_000)]
    written = bench.pipeline.definitions.record(
        bench.who(), shown, side=bench.call().side, provider="p"
    )
    assert written is not None
    assert len(written.record["tools"]) == 1_000
    assert len(json.dumps(written.record)) < 500_000


def test_an_agent_cannot_fill_the_disk_with_definitions(bench: Bench) -> None:
    """A new definition with every request: after 2,048 a day no more is written; the next day there is."""
    definitions = bench.pipeline.definitions
    count = 0
    for n in range(3_000):
        written = definitions.record(
            bench.who(), [Shown("t", str(n), {})], side=bench.call().side, provider="p"
        )
        if written is not None:
            count += len(written.record["tools"])
            written.note()
    assert count == 2_048
    bench.now_ms += 86_400_000
    shown = [Shown("t", "new", {})]
    assert definitions.record(bench.who(), shown, side=bench.call().side, provider="p") is not None


@pytest.mark.parametrize("name", ["", "x" * 300])
def test_a_name_that_is_none_is_left_out(bench: Bench, name: str) -> None:
    shown = [Shown(name, "d", {})]
    record = bench.pipeline.definitions.record
    assert record(bench.who(), shown, side=bench.call().side, provider="p") is None


def _one(bench: Bench, document: dict[str, Any], digest: str = "d") -> dict[str, Any]:
    written = bench.pipeline.definitions.record(
        bench.who(), [Shown("t", digest, document)], side=bench.call().side, provider="p"
    )
    assert written is not None
    (tool,) = written.record["tools"]
    made: dict[str, Any] = tool
    return made
