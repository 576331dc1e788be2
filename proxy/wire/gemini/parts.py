"""Parts of a Gemini content: which of them are calls, what a call says, what answers it.

What belongs here: all knowledge of single parts, used by the gate and by the request side. A part is
a call of the client (`functionCall`), a call the provider runs itself (`executableCode`,
`toolCall`), or neither. Shapes: https://ai.google.dev/api/caching#Part and
https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/Content (read 2026-11).

Names are matched as the most lenient client reads them: protobuf's JSON takes `functionCall` and
`function_call`, google-genai too (pydantic's `populate_by_name`), and Go's `encoding/json` ignores
case. An object that has two spellings of one name has no single reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from proxy.canonical import digest, sha256_hex
from proxy.errors import WireError
from proxy.model import Call, Json
from proxy.wire.jsontext import Ambiguous, call_from_value

PROVIDER = "google.gemini"

type Part = dict[str, Json]


@lru_cache(maxsize=4096)
def fold(name: str) -> str:
    """Returns a field's name as the most lenient reader compares it."""
    return name.replace("_", "").casefold()


def key_of(value: Mapping[str, Json], name: str) -> str | None:
    """Returns how an object spells a field; `name` is its camelCase.

    Raises:
        WireError: it is there in two spellings.
    """
    wanted = fold(name)
    found = [key for key in value if fold(key) == wanted]
    if len(found) > 1:
        raise WireError(f"gemini: {found[0]!r} and {found[1]!r} are one field")
    return found[0] if found else None


def get(value: Mapping[str, Json], name: str) -> Json:
    """Returns a field under any of its spellings; None where it is absent or null."""
    key = key_of(value, name)
    return value[key] if key is not None else None


def objects(value: Json, where: str) -> list[dict[str, Json]]:
    """Returns a repeated field as a list of objects; Google's servers take a lone object for one.

    Raises:
        WireError: something else stands there.
    """
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise WireError(f"gemini: expected objects - at {where}")
    return value


def function_call(part: Part) -> dict[str, Json] | None:
    """Returns the part's call of the client, None where it has none.

    Raises:
        WireError: something else than an object stands there.
    """
    found = get(part, "functionCall")
    if found is None:
        return None
    if not isinstance(found, dict):
        raise WireError("gemini: expected an object - at functionCall")
    return found


def call_of(
    call: Mapping[str, Json],
    response_id: str | None,
    *,
    arguments: Json = None,
    fault: str | None = None,
) -> Call:
    """Makes the Call of a `functionCall`; `arguments` are those put together from parts of it."""
    call_id, name = get(call, "id"), get(call, "name")
    value = get(call, "args") if arguments is None else arguments
    named = isinstance(name, str) and name != ""
    fields: dict[str, Json] = {
        "id": call_id if isinstance(call_id, str) and call_id else None,
        "name": name if named else "functionCall",
        "provider": PROVIDER,
        "response_id": response_id,
    }
    made = call_from_value({} if value is None else value, **fields)
    if isinstance(call, Ambiguous):
        fault = "duplicate key in the call"
    elif not named:
        fault = fault or "the call has no name"
    elif value is not None and not isinstance(value, dict):
        fault = fault or "the arguments are not an object"
    elif call_id is not None and not isinstance(call_id, str):
        fault = fault or "the call's id is not text"
    if fault is None:
        return made
    return Call(arguments=None, args_sha256=made.args_sha256, fault=fault, **fields)


def provider_calls(part: Part, response_id: str | None) -> Iterator[Call]:
    """Yields what the provider runs itself for this part."""
    code = get(part, "executableCode")
    if isinstance(code, dict):
        yield call_from_value(
            code,
            id=_text(get(code, "id")),
            name="code_execution",
            kind="code_execution",
            provider=PROVIDER,
            response_id=response_id,
            executor="provider",
        )
    tool = get(part, "toolCall")
    if isinstance(tool, dict):
        args = get(tool, "args")
        kind = _text(get(tool, "toolType")) or "tool_call"
        yield call_from_value(
            {} if args is None else args,
            id=_text(get(tool, "id")),
            name=kind.lower(),
            kind="tool_call",
            provider=PROVIDER,
            response_id=response_id,
            executor="provider",
        )


def names_of(part: Part) -> Iterator[str]:
    """Yields the names by which a later request may refer to the turn this part is of.

    A call's id, and a thought signature, which clients send back as it came or in the other alphabet of
    base64. Never a call's name and arguments: another conversation may have just that call.
    """
    call = function_call(part)
    if call is not None and (call_id := _text(get(call, "id"))):
        yield f"call:{call_id}"
    if signature := signature_of(part):
        yield f"signature:{signature}"


def signature_of(part: Part) -> str | None:
    """Returns a digest of the part's thought signature."""
    signature = _text(get(part, "thoughtSignature"))
    if signature is None:
        return None
    plain = signature.replace("-", "+").replace("_", "/").rstrip("=")
    return sha256_hex(plain.encode("utf-8", "surrogatepass"))


def shape_of(call: Mapping[str, Json]) -> str | None:
    """Returns what is the same in a call and in every echo of it: its name and arguments."""
    sha256 = args_digest(call)
    return f"{get(call, 'name')}({sha256})" if sha256 else None


def args_digest(call: Mapping[str, Json]) -> str | None:
    args = get(call, "args")
    try:
        return digest({} if args is None else args)
    except (ValueError, RecursionError):
        return None


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None
