"""The call that is to be explained, as people give it: JSON in the shapes that APIs, cases and logs have.

What belongs here: reading text into records of a decision log, or one call. Arguments are read as strictly as on the wire: a
call whose arguments have no single reading is explained as such, it is no mistake of who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.errors import ConfigurationError, WireError
from proxy.model import Call, HttpCall, Json, Side
from proxy.wire.jsontext import call_from_text, call_from_value, decode_marked

PROVIDER = "openai.chat"
_SHAPES = (
    '{"name": "refund_order", "arguments": {"amount": 120}}, or for a request '
    '{"http": {"method": "POST", "host": "billing.internal", "path": "/v1/refunds/A-1"}, "body": {"amount": 120}}'
)


@dataclass(frozen=True, slots=True)
class Given:
    """A call without the one who makes it."""

    call: Call | None = None
    http: HttpCall | None = None


def read_given(text: str, what: str) -> Given | list[dict[str, Json]]:
    """Reads a call, or records of a decision log, one a line.

    Args:
        text: what was given.
        what: where from, for messages.

    Raises:
        ConfigurationError: it is neither.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ConfigurationError(f"{what}: empty; a call is written {_SHAPES}")
    try:
        values = [decode_marked(text.encode("utf-8", "surrogatepass"), what)]
    except WireError as whole:
        if len(lines) == 1:
            raise ConfigurationError(f"{whole}; a call is written {_SHAPES}") from whole
        try:
            values = [
                decode_marked(line.encode(), f"{what}:{n}") for n, line in enumerate(lines, 1)
            ]
        except (WireError, UnicodeEncodeError):
            raise ConfigurationError(f"{whole}; a call is written {_SHAPES}") from whole
    if all("type" in value and "seq" in value for value in values):
        return values
    if len(values) > 1:
        raise ConfigurationError(f"{what}: several objects that are no records of a decision log")
    return _given(values[0], what)


def _given(value: Mapping[str, Json], what: str) -> Given:
    if isinstance(value.get("http"), dict):
        return Given(http=_http(value["http"], value.get("body"), what))
    stated = _one_call(value, what)
    function = stated.get("function", stated.get("custom"))
    inner = function if isinstance(function, dict) else stated
    if isinstance(stated.get("params"), dict):
        inner = stated["params"]  # an MCP message
    name = next((inner[key] for key in ("name", "tool", "call") if key in inner), None)
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"{what}: no 'name' of a tool in it; a call is written {_SHAPES}")
    server = stated.get("server", "mcp" if inner is stated.get("params") else None)
    is_mcp = isinstance(server, str)
    id_ = stated.get("call_id", stated.get("id"))
    fields = {
        "id": id_ if isinstance(id_, str) and not is_mcp else None,
        "name": name,
        "provider": "mcp" if is_mcp else PROVIDER,
        "side": Side.MCP if is_mcp else Side.MODEL,
        "kind": "mcp" if is_mcp else "function",
        "namespace": server if is_mcp else None,
    }
    keys = ("arguments", "input", "args", "parameters")
    arguments: Json = next((inner[key] for key in keys if key in inner), {})
    if isinstance(arguments, str) and "arguments" in inner:
        return Given(call_from_text(arguments, **fields))
    return Given(call_from_value({} if arguments is None else arguments, **fields))


def _one_call(value: Mapping[str, Json], what: str) -> Mapping[str, Json]:
    """Returns the call of a message that has one, else the value itself."""
    listed = value.get("tool_calls")
    if not isinstance(listed, list) and isinstance(value.get("content"), list):
        blocks = value["content"]
        listed = [b for b in blocks if isinstance(b, dict) and b.get("type") == "tool_use"]
    if not isinstance(listed, list):
        return value
    calls = [call for call in listed if isinstance(call, dict)]
    if len(calls) != 1:
        raise ConfigurationError(f"{what}: {len(calls)} calls in it; give one")
    return calls[0]


def _http(route: Mapping[str, Json], body: Json, what: str) -> HttpCall:
    missing = [key for key in ("method", "host", "path") if not isinstance(route.get(key), str)]
    if missing:
        raise ConfigurationError(f"{what}: http: the key '{missing[0]}' is missing, or no text")
    query, headers = route.get("query") or {}, route.get("headers") or {}
    if not isinstance(query, dict) or not isinstance(headers, dict):
        raise ConfigurationError(f"{what}: http: 'query' and 'headers' are objects of texts")
    return HttpCall(
        route["method"].upper(),
        route["host"],
        route["path"],
        {str(key): str(value) for key, value in query.items()},
        tuple((str(key).lower(), str(value)) for key, value in headers.items()),
        route.get("body") if body is None else body,
    )


def is_decision(record: Mapping[str, Json]) -> bool:
    return record.get("type") == "decision" and isinstance(record.get("call"), dict)


def last_decision(records: Sequence[Mapping[str, Json]], what: str) -> int:
    """Returns the place of the last decision among records.

    Raises:
        ConfigurationError: there is none.
    """
    for at in range(len(records) - 1, -1, -1):
        if is_decision(records[at]):
            return at
    kinds = ", ".join(dict.fromkeys(str(record.get("type")) for record in records))
    raise ConfigurationError(f"{what}: no decision among these records ({kinds})")
