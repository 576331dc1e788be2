"""What agents and servers say that their tools are, for the decision log: once a definition, and cut.

How it works. A model request names its tools with every turn, an MCP server whenever it is asked. Each definition is
written when an agent first shows it, and again after a day, so that a rotated log has it too; one that changes has
another digest and is written anew. Which were written is remembered here, with an end: names and texts are a
stranger's to choose. Of a schema stays what says which arguments there are (names, types, descriptions, choices);
defaults and examples, where secrets are found, do not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.model import Identity, Json, Side
from proxy.pipeline.records import Record, tools_record
from proxy.redact import redact_text
from proxy.redact_names import is_secret_name

_AGAIN_MS = 86_400_000
_REMEMBERED = 65_536
_MOST_A_DAY = 2_048
"""New definitions of one agent in a day: an agent that makes up one with every request fills no disk."""
_MOST_AGENTS = 4_096
_MOST_A_RECORD = 1_024
_MOST_CHARS = 262_144  # of a record
_NAME_CHARS = 256
_TEXT_CHARS = 2_000  # of a tool's description
_FIELD_CHARS = 300  # of an argument's
_MOST_FIELDS = 128  # of a tool
_MOST_CHOICES = 32
_DEPTH = 6

_WRAPPED = ("function", "custom", "toolSpec")
_SCHEMAS = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema")
_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")

type _Key = tuple[str, str, str, str]  # agent, server or "", tool, digest


@dataclass(frozen=True, slots=True)
class Shown:
    """One definition, as it came."""

    name: str
    digest: str
    document: Mapping[str, Json]


class Definitions:
    """Which definitions are in the log."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._written: OrderedDict[_Key, int] = OrderedDict()
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()  # agent: (day, how many)

    def record(
        self,
        identity: Identity,
        shown: Sequence[Shown],
        *,
        side: Side,
        provider: str,
        server: str | None = None,
    ) -> Written | None:
        """Returns the record of what is not in the log yet; None where all is.

        Emit its `record` in the transaction that looks at the definitions, and call `note` once that is durable.
        """
        now_ms = self._now_ms()
        day, count = self._counts.get(identity.agent, (0, 0))
        left = _MOST_A_DAY - (count if day == now_ms // _AGAIN_MS else 0)
        fresh: dict[_Key, Shown] = {}
        for one in shown:
            key = (identity.agent, server or "", one.name, one.digest)
            if len(fresh) >= min(left, _MOST_A_RECORD):
                break
            if not one.name or len(one.name) > _NAME_CHARS or key in fresh:
                continue
            if now_ms - self._written.get(key, -_AGAIN_MS) >= _AGAIN_MS:
                fresh[key] = one
        if not fresh:
            return None
        told = list(_told(fresh.values()))
        record = tools_record(identity, side=side, provider=provider, server=server, tools=told)
        return Written(record, tuple(fresh), now_ms, self)

    def note(self, keys: Sequence[_Key], at_ms: int) -> None:
        for key in keys:
            self._written[key] = at_ms
            self._written.move_to_end(key)
        while len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)
        agent, today = keys[0][0], at_ms // _AGAIN_MS
        day, count = self._counts.get(agent, (today, 0))
        self._counts[agent] = (today, len(keys) + (count if day == today else 0))
        self._counts.move_to_end(agent)
        if len(self._counts) > _MOST_AGENTS:
            self._counts.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Written:
    """A record that is to be written, and what is remembered when it is."""

    record: Record
    keys: tuple[_Key, ...]
    at_ms: int
    definitions: Definitions

    def note(self) -> None:
        """The record is durable."""
        self.definitions.note(self.keys, self.at_ms)


def _told(shown: Iterable[Shown]) -> Iterator[Record]:
    left = _MOST_CHARS
    for one in shown:
        cut = _Cut(left)
        made = cut.tool(one)
        left = cut.left
        yield made


class _Cut:
    """One definition, made small enough for a log line and without secrets."""

    def __init__(self, left: int) -> None:
        self.left = left  # characters
        self._fields = _MOST_FIELDS
        self._is_cut = False

    def tool(self, shown: Shown) -> Record:
        outer = shown.document
        inner = next((outer[k] for k in _WRAPPED if isinstance(outer.get(k), dict)), outer)
        schema = _schema_of(inner)
        made: Record = {
            "name": shown.name,
            "digest": shown.digest,
            "description": self._text(inner.get("description"), _TEXT_CHARS),
            "schema": None if schema is None else self._schema(schema, schema, 0),
            "annotations": _annotations(inner.get("annotations")),
        }
        return {**made, "cut": self._is_cut}

    def _text(self, value: Json, most: int) -> str | None:
        if not isinstance(value, str):
            return None
        # Redacted before it is cut: a secret across the cut would not be known for one.
        whole = redact_text(value)
        kept = whole[: min(most, max(0, self.left))]
        self._is_cut |= len(kept) < len(whole)
        self.left -= len(kept)
        return kept

    def _schema(self, schema: Mapping[str, Json], root: Mapping[str, Json], depth: int) -> Record:
        node = _resolved(schema, root)
        made: Record = {}
        types = _types(node)
        if types:
            made["type"] = types[0] if len(types) == 1 else list(types)
        if (text := self._text(node.get("description"), _FIELD_CHARS)) is not None and depth:
            made["description"] = text
        if isinstance(node.get("format"), str):
            made["format"] = self._text(node["format"], 40)
        if depth > _DEPTH:
            self._is_cut = True
            return made
        if isinstance(node.get("enum"), list):
            made["enum"] = self._choices(node["enum"])
        if isinstance(node.get("items"), dict):
            made["items"] = self._schema(node["items"], root, depth + 1)
        if isinstance(node.get("properties"), dict):
            made["properties"] = self._properties(node["properties"], root, depth)
            required = node.get("required")
            made["required"] = [
                name
                for name in (required if isinstance(required, list) else ())
                if isinstance(name, str) and name in made["properties"]
            ]
        return made

    def _properties(
        self, properties: Mapping[str, Json], root: Mapping[str, Json], depth: int
    ) -> Record:
        made: Record = {}
        for name, schema in properties.items():
            odd = len(name) > _NAME_CHARS or redact_text(name) != name
            if odd or self._fields <= 0 or self.left <= 0:
                self._is_cut = True
                continue
            self._fields -= 1
            self.left -= len(name)
            one = self._schema(schema, root, depth + 1) if isinstance(schema, dict) else {}
            if is_secret_name(name):
                one.pop("enum", None)
            made[name] = one
        return made

    def _choices(self, listed: Sequence[Json]) -> list[str]:
        self._is_cut |= len(listed) > _MOST_CHOICES
        made = (self._text(one if isinstance(one, str) else str(one), 80) for one in listed)
        return [text for text, _ in zip(made, range(_MOST_CHOICES), strict=False) if text]


def _schema_of(tool: Mapping[str, Json]) -> Mapping[str, Json] | None:
    """Returns the JSON Schema of a tool's arguments, wherever its API has it."""
    for key in _SCHEMAS:
        found = tool.get(key)
        if isinstance(found, dict):
            inner = found.get("json")  # Bedrock's `inputSchema: {json: {…}}`
            return inner if isinstance(inner, dict) and "properties" not in found else found
    stated = tool.get("parameter_definitions")  # Cohere, v1
    if isinstance(stated, dict):
        needed = [k for k, v in stated.items() if isinstance(v, dict) and v.get("required") is True]
        return {"type": "object", "properties": stated, "required": needed}
    return None


def _resolved(node: Mapping[str, Json], root: Mapping[str, Json]) -> Mapping[str, Json]:
    """Follows `$ref` within the schema, and a choice with a single branch (`X | null`)."""
    for _ in range(_DEPTH):
        ref = node.get("$ref")
        if isinstance(ref, str):
            found = _at(root, ref)
            if found is None:
                return node
            node = {**found, **{k: v for k, v in node.items() if k != "$ref"}}
            continue
        branches = next((node[k] for k in ("anyOf", "oneOf", "allOf") if k in node), None)
        if not isinstance(branches, list):
            return node
        real = [b for b in branches if isinstance(b, dict) and b.get("type") != "null"]
        rest = {k: v for k, v in node.items() if k not in ("anyOf", "oneOf", "allOf")}
        if len(real) != 1:
            types = [t for b in real for t in _types(b)]
            return {**rest, "type": list(dict.fromkeys(types))}
        node = {**real[0], **rest}
    return node


def _at(root: Mapping[str, Json], ref: str) -> Mapping[str, Json] | None:
    here: Json = root
    for step in ref.removeprefix("#/").split("/") if ref.startswith("#/") else ("",):
        here = here.get(step) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else None


def _types(node: Mapping[str, Json]) -> tuple[str, ...]:
    stated = node.get("type")
    listed = stated if isinstance(stated, list) else [stated]
    # Gemini writes STRING, Cohere's first version str.
    named = (t.lower()[:20] for t in listed[:8] if isinstance(t, str))
    return tuple(dict.fromkeys(t for t in named if t != "null"))


def _annotations(value: Json) -> Record | None:
    """What an MCP server says of its tool; only what is true or false, the rest is words."""
    if not isinstance(value, dict):
        return None
    return {name: value[name] for name in _HINTS if isinstance(value.get(name), bool)}
