"""Where text came from, on SQLite: sources, and the fingerprints that lead to them.

What belongs here: the tables of the origins and the part of a transaction that reads and writes
them. Nothing in them says what was read: a source has its speaker, tool and labels; its prints are
keyed hashes.

How it works. `source_prints` is one B-tree by family, print and *class*; a class is what two sources
share that say the same of a value: speaker, tool, kinds, trust, labels. A print that comes again in
the same class moves to the newer source. So a word that stands in every result leads to as many
rows as there are classes, not results, and a look-up costs the same after ten results and after ten
thousand.

Memory is bounded by the prints a family may have. When a new source does not fit, others go whole:
results without labels first, the oldest first; then labelled results, then secrets; what the user and
the system said goes last. An agent that reads a great deal thus forgets stray values before it
forgets a secret, or what its user asked for. A page full of made-up keys may take a quarter at most;
where a secret goes all the same, `has_forgotten_secrets` says so.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from proxy.model import Source, Speaker

if TYPE_CHECKING:
    from proxy.ledger.connection import Connection

SOURCES_DDL: tuple[str, ...] = (
    """CREATE TABLE source_families (
        id INTEGER PRIMARY KEY,
        family TEXT NOT NULL UNIQUE,
        prints INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    """CREATE TABLE sources (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        family INTEGER NOT NULL, digest TEXT NOT NULL, rank INTEGER NOT NULL,
        class INTEGER NOT NULL,
        speaker TEXT NOT NULL, tool TEXT, call_key TEXT, kinds TEXT NOT NULL,
        trusted INTEGER NOT NULL, labels TEXT NOT NULL, at_ms INTEGER NOT NULL,
        prints BLOB NOT NULL
    ) STRICT""",
    "CREATE UNIQUE INDEX sources_by_digest ON sources (family, digest)",
    "CREATE INDEX sources_by_rank ON sources (family, rank, id)",
    """CREATE TABLE source_prints (
        family INTEGER NOT NULL, print INTEGER NOT NULL, class INTEGER NOT NULL,
        source INTEGER NOT NULL,
        PRIMARY KEY (family, print, class)
    ) STRICT, WITHOUT ROWID""",
)

_SECRET = 2
"""The rank of secrets: only what user and system said outlives them."""
_LABELLED_SHARE = 4
_CHUNK = 4_000  # prints a statement
_COLUMNS = "id, speaker, tool, call_key, kinds, trusted, labels, at_ms"


class SqliteSources:
    """The part of a transaction that knows where text came from."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._forgotten: set[str] = set()

    def has_source(self, family: str, digest: str) -> bool:
        """Tells whether a text is known by this digest."""
        return bool(
            self._db.rows(
                "SELECT 1 FROM sources JOIN source_families f ON f.id = sources.family"
                " WHERE f.family = ? AND digest = ?",
                (family, digest),
            )
        )

    def add_source(
        self,
        family: str,
        source: Source,
        prints: Sequence[int],
        *,
        digest: str,
        most_prints: int,
    ) -> int:
        """Stores a source; returns its id, the old one's where the text is known already.

        Args:
            family: the root session.
            source: what is known of it; its own id does not count.
            prints: from `Printer.of_text`; beyond `most_prints` they are cut.
            digest: names the text and who said it: the same words of another are another source.
            most_prints: how many the family may have; others go to make room.
        """
        family_id, stored = self._family(family)
        rows = self._db.rows(
            "SELECT id FROM sources WHERE family = ? AND digest = ?", (family_id, digest)
        )
        if rows:
            return int(rows[0][0])
        own = list(dict.fromkeys(prints))
        kept = own[: max(most_prints // _LABELLED_SHARE if source.labels else most_prints, 0)]
        lost = len(kept) < len(own) and _rank(source) == _SECRET
        if stored + len(kept) > most_prints:
            freed, secrets = self._make_room(family_id, stored + len(kept) - most_prints)
            stored -= freed
            lost = lost or secrets
        if lost:
            self._forgotten.add(family)
        class_ = _class_of(source)
        self._db.run(
            "INSERT INTO sources (family, digest, rank, class, speaker, tool, call_key, kinds,"
            " trusted, labels, at_ms, prints) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                family_id,
                digest,
                _rank(source),
                class_,
                source.speaker.value,
                source.tool,
                source.call_key,
                json.dumps(source.kinds),
                int(source.trusted),
                json.dumps(source.labels),
                source.at_ms,
                struct.pack(f"<{len(kept)}q", *kept),
            ),
        )
        source_id = int(self._db.rows("SELECT last_insert_rowid()")[0][0])
        for chunk in _chunks(sorted(kept)):
            self._db.run(
                "INSERT INTO source_prints SELECT ?, value, ?, ? FROM json_each(?) WHERE true"
                " ON CONFLICT DO UPDATE SET source = excluded.source",
                (family_id, class_, source_id, chunk),
            )
        self._db.run(
            "UPDATE source_families SET prints = ? WHERE id = ?", (stored + len(kept), family_id)
        )
        return source_id

    def sources_by_print(
        self, family: str, prints: Sequence[int]
    ) -> Mapping[int, tuple[Source, ...]]:
        """Returns the sources of those prints that are known, the newest of each class."""
        ids = self._db.rows("SELECT id FROM source_families WHERE family = ?", (family,))
        if not ids or not prints:
            return {}
        family_id = ids[0][0]
        found: dict[int, list[int]] = {}
        for chunk in _chunks(sorted(set(prints))):
            for print_, source_id in self._db.rows(
                "SELECT p.print, p.source FROM json_each(?) j CROSS JOIN source_prints p"
                " ON p.family = ? AND p.print = j.value",
                (chunk, family_id),
            ):
                found.setdefault(print_, []).append(source_id)
        sources = self._sources({id_ for ids_ in found.values() for id_ in ids_})
        return {
            print_: tuple(sources[id_] for id_ in sorted(ids_) if id_ in sources)
            for print_, ids_ in found.items()
        }

    def has_forgotten_secrets(self, family: str) -> bool:
        """Tells, once, whether a secret of this family had to make room."""
        if family not in self._forgotten:
            return False
        self._forgotten.discard(family)
        return True

    def drop_family(self, family: str) -> None:
        """Forgets all that a family has read."""
        ids = self._db.rows("SELECT id FROM source_families WHERE family = ?", (family,))
        for (family_id,) in ids:
            self._db.run("DELETE FROM source_prints WHERE family = ?", (family_id,))
            self._db.run("DELETE FROM sources WHERE family = ?", (family_id,))
            self._db.run("DELETE FROM source_families WHERE id = ?", (family_id,))

    def _family(self, family: str) -> tuple[int, int]:
        query = "SELECT id, prints FROM source_families WHERE family = ?"
        rows = self._db.rows(query, (family,))
        if not rows:
            self._db.run("INSERT INTO source_families (family) VALUES (?)", (family,))
            rows = self._db.rows(query, (family,))
        return int(rows[0][0]), int(rows[0][1])

    def _make_room(self, family_id: int, needed: int) -> tuple[int, bool]:
        """Drops whole sources until so many prints are free; returns how many, and if secrets went."""
        freed, secrets = 0, False
        while freed < needed:
            rows = self._db.rows(
                "SELECT id, class, prints, rank FROM sources WHERE family = ?"
                " ORDER BY rank, id LIMIT 64",
                (family_id,),
            )
            if not rows:
                break
            for source_id, class_, blob, rank in rows:
                if freed >= needed:
                    break
                freed += self._drop(family_id, source_id, class_, blob)
                secrets = secrets or rank == _SECRET
        return freed, secrets

    def _drop(self, family_id: int, source_id: int, class_: int, blob: bytes) -> int:
        prints = struct.unpack(f"<{len(blob) // 8}q", blob)
        for chunk in _chunks(sorted(prints)):
            # Where a newer source of the class took the print over, it stays.
            self._db.run(
                "DELETE FROM source_prints WHERE family = ? AND class = ? AND source = ?"
                " AND print IN (SELECT value FROM json_each(?))",
                (family_id, class_, source_id, chunk),
            )
        self._db.run("DELETE FROM sources WHERE id = ?", (source_id,))
        return len(prints)

    def _sources(self, ids: Iterable[int]) -> dict[int, Source]:
        found: dict[int, Source] = {}
        for chunk in _chunks(sorted(ids)):
            for row in self._db.rows(
                f"SELECT {_COLUMNS} FROM sources WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608 - a constant list of columns
                (chunk,),
            ):
                found[row[0]] = _source_from(row)
        return found


def _chunks(numbers: Sequence[int]) -> Iterable[str]:
    """Writes numbers as JSON arrays: one bound value instead of thousands."""
    for start in range(0, len(numbers), _CHUNK):
        yield f"[{','.join(map(str, numbers[start : start + _CHUNK]))}]"


def _rank(source: Source) -> int:
    """The order in which sources go, lowest first."""
    if source.speaker is not Speaker.RESULT:
        return _SECRET + 1
    if any(label.startswith("secret") for label in source.labels):
        return _SECRET
    if any("secret" in kind.split(".") for kind in source.kinds):
        return _SECRET  # whatever it looks like: what a secret store has said
    return 1 if source.labels else 0


def _class_of(source: Source) -> int:
    said = json.dumps(
        [source.speaker, source.tool, source.kinds, source.trusted, sorted(source.labels)]
    )
    digest = blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _source_from(row: Sequence[Any]) -> Source:
    id_, speaker, tool, call_key, kinds, trusted, labels, at_ms = row
    return Source(
        Speaker(speaker),
        tool=tool,
        call_key=call_key,
        kinds=tuple(json.loads(kinds)),
        trusted=bool(trusted),
        labels=tuple(json.loads(labels)),
        at_ms=at_ms,
        id=id_,
    )
