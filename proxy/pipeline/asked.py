"""What a decision asked of a session's past that its log does not hold: noted, and named the same way again.

What belongs here: the notes of one decision, and their form in the log (`asked`). A log has no texts: where a value
came from, which labels results had, what a check had shown is known only at this moment. The notes say it in words
of the rules (labels, tools, true and false), never in the texts' own, so that `rules replay` can ask again.

A question's name is what was asked about: an argument by its path, anything else by a digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

from proxy.canonical import sha256_hex
from proxy.model import Json, Origin, Source, Speaker
from proxy.redact import redact_text

_MOST_NODES = 256
_MOST_SOURCES = 32
_SAYS = ("user", "system", "result", "trusted", "untrusted", "model")


class Notes:
    """The answers that one decision was given."""

    def __init__(self) -> None:
        self._answers: dict[str, Json] = {}
        self._origins: dict[str, tuple[Json, Origin]] = {}
        self._trailing: dict[str, tuple[Json, list[Source]]] = {}
        self._is_paused = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is looked up meanwhile is not for the decision."""
        before, self._is_paused = self._is_paused, True
        try:
            yield
        finally:
            self._is_paused = before

    def add(self, question: str, answer: Json) -> None:
        if not self._is_paused:
            self._answers[question] = answer

    def origin(self, value: Json, origin: Origin) -> None:
        if not self._is_paused:
            self._origins[repr(value)] = (value, origin)

    def trailing(self, value: Json, sources: Iterable[Source]) -> None:
        if not self._is_paused:
            self._trailing[repr(value)] = (value, list(sources))

    def record(self, arguments: Json) -> dict[str, Json] | None:
        """Returns the notes as the log has them; None where nothing was asked."""
        made = dict(self._answers)
        for value, origin in self._origins.values():
            made[f"origin:{name_of(value, arguments)}"] = _origin_record(origin)
        for value, sources in self._trailing.values():
            if sources:
                made[f"trailing:{name_of(value, arguments)}"] = list(_source_records(sources))
        return made or None


def name_of(value: Json, arguments: Json) -> str:
    """Returns what a value of a call is called: its path, or a digest where it stands nowhere as it is."""
    left = [("args", arguments)]
    for _ in range(_MOST_NODES):
        if not left:
            break
        path, node = left.pop(0)
        if _is_same(value, node):
            return redact_text(path)
        if isinstance(node, dict):
            keys = sorted(node)[:_MOST_NODES]  # the log has them in this order
            left += [(f"{path}.{key}", node[key]) for key in keys]
        elif isinstance(node, list | tuple):
            left += [(f"{path}[{i}]", item) for i, item in enumerate(node[:_MOST_NODES])]
    return sha256_hex(repr(_plain(value)).encode("utf-8", "surrogatepass"))[:12]


def target_name(target: str | None) -> str:
    """Returns what an effect's target is called in a question."""
    return "" if target is None else sha256_hex(target.encode("utf-8", "surrogatepass"))[:12]


def origin_from(stated: Mapping[str, Json]) -> Origin:
    """Reads an origin of a record again."""
    sources = tuple(sources_from(stated.get("from") or ()))
    return Origin(
        **{name: stated.get(name) is True for name in _SAYS},
        tools=tuple(dict.fromkeys(s.tool for s in sources if s.tool is not None)),
        labels=tuple(stated.get("labels") or ()),
        sources=sources,
    )


def sources_from(stated: Iterable[Mapping[str, Json]]) -> Iterator[Source]:
    for one in stated:
        yield Source(
            Speaker(one["speaker"]),
            tool=one.get("tool"),
            kinds=tuple(one.get("kinds") or ()),
            trusted=one["trusted"] is True,
            labels=tuple(one.get("labels") or ()),
            at_ms=int(one["at_ms"]),
        )


def _origin_record(origin: Origin) -> dict[str, Json]:
    made: dict[str, Json] = {name: True for name in _SAYS if getattr(origin, name)}
    if origin.labels:
        made["labels"] = list(origin.labels)
    if origin.sources:
        made["from"] = list(_source_records(origin.sources))
    return made


def _source_records(sources: Iterable[Source]) -> Iterator[dict[str, Json]]:
    """Yields sources that rules can tell apart, each with its newest time."""
    newest: dict[Source, int] = {}
    for source in sources:
        plain = replace(source, call_key=None, at_ms=0, id=0)
        newest[plain] = max(newest.get(plain, 0), source.at_ms)
    for source, at_ms in list(newest.items())[:_MOST_SOURCES]:
        made: dict[str, Json] = {"speaker": source.speaker.value, "trusted": source.trusted}
        if source.tool is not None:
            made["tool"] = redact_text(source.tool)
        if source.kinds:
            made["kinds"] = list(source.kinds)
        if source.labels:
            made["labels"] = list(source.labels)
        yield made | {"at_ms": at_ms}


def _is_same(value: Json, node: Json) -> bool:
    """Whether two values are one to the rules: CEL has whole numbers and doubles, Python decimals."""
    if isinstance(value, bool) or isinstance(node, bool):
        return value is node
    if isinstance(value, str) or isinstance(node, str):
        return type(value) is type(node) and value == node
    if isinstance(value, dict | list) or isinstance(node, dict | list):
        return bool(_plain(value) == _plain(node))
    if isinstance(value, Decimal) or isinstance(node, Decimal):
        return bool(_plain(value) == _plain(node))
    return bool(value == node)


def _plain(value: Json) -> Json:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
