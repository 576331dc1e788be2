"""Sources and their fingerprints: found again, kept once, bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from proxy.ledger.connection import Connection
from proxy.ledger.sources import SqliteSources
from proxy.model import Source, Speaker

PAGE = Source(Speaker.RESULT, tool="read_page", kinds=("data.read",), at_ms=5)
SECRET = Source(Speaker.RESULT, tool="read_page", labels=("secret.key",))
USER = Source(Speaker.USER, trusted=True)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    made = Connection(tmp_path / "ledger.sqlite", 1.0)
    yield made
    made.close()


@pytest.fixture
def sources(db: Connection) -> SqliteSources:
    return SqliteSources(db)


def _add(
    sources: SqliteSources,
    source: Source,
    prints: Sequence[int],
    digest: str,
    *,
    family: str = "s1",
    most: int = 1_000,
) -> int:
    return sources.add_source(family, source, prints, digest=digest, most_prints=most)


def test_a_source_is_found_by_each_of_its_prints(sources: SqliteSources) -> None:
    page = Source(
        Speaker.RESULT, "t", "key", ("a.b", "c"), trusted=True, labels=("x", "y"), at_ms=7
    )
    id_ = _add(sources, page, (1, -(2**63), 2**63 - 1), "d1")
    found = sources.sources_by_print("s1", (1, 2, -(2**63), 2**63 - 1))
    assert set(found) == {1, -(2**63), 2**63 - 1}
    assert found[1] == (
        Source(
            Speaker.RESULT,
            "t",
            "key",
            ("a.b", "c"),
            trusted=True,
            labels=("x", "y"),
            at_ms=7,
            id=id_,
        ),
    )


def test_families_do_not_see_each_other(sources: SqliteSources) -> None:
    _add(sources, PAGE, (1,), "d1")
    assert sources.sources_by_print("s2", (1,)) == {}
    assert not sources.has_source("s2", "d1")


def test_the_same_text_is_stored_once(sources: SqliteSources, db: Connection) -> None:
    """Histories are sent again at every turn."""
    first = _add(sources, PAGE, (1, 2), "d1")
    assert sources.has_source("s1", "d1")
    assert _add(sources, PAGE, (1, 2), "d1") == first
    assert db.rows("SELECT count(*) FROM sources") == [(1,)]
    assert db.rows("SELECT prints FROM source_families") == [(2,)]
    assert _add(sources, PAGE, (1,), "d1", family="s2") != first


def test_a_print_in_many_results_leads_to_the_newest_of_each_class(sources: SqliteSources) -> None:
    """So that a word that stands everywhere costs no more than a rare one."""
    last = 0
    for number in range(50):
        last = _add(sources, PAGE, (1, 100 + number), f"d{number}")
    secret = _add(sources, SECRET, (1,), "secret")
    user = _add(sources, USER, (1,), "user")
    assert [source.id for source in sources.sources_by_print("s1", (1,))[1]] == [last, secret, user]
    assert len(sources.sources_by_print("s1", range(200))) == 51


def test_the_oldest_go_whole_results_first(sources: SqliteSources) -> None:
    _add(sources, USER, range(10), "user", most=50)
    _add(sources, SECRET, range(10, 20), "secret", most=50)
    _add(sources, PAGE, range(20, 30), "old", most=50)
    _add(sources, PAGE, range(30, 40), "new", most=50)
    _add(sources, PAGE, range(40, 55), "newest", most=50)
    assert sorted(sources.sources_by_print("s1", range(60))) == [*range(20), *range(30, 55)]
    assert not sources.has_source("s1", "old")
    _add(sources, PAGE, range(60, 90), "large", most=50)
    assert sorted(sources.sources_by_print("s1", range(90))) == [*range(20), *range(60, 90)]
    _add(sources, PAGE, range(100, 140), "larger", most=50)
    assert sorted(sources.sources_by_print("s1", range(140))) == [*range(10), *range(100, 140)]
    _add(sources, PAGE, range(200, 300), "too large", most=50)
    assert sorted(sources.sources_by_print("s1", range(300))) == [*range(200, 250)]


def test_a_print_that_a_newer_source_has_too_stays(sources: SqliteSources) -> None:
    _add(sources, PAGE, (1, 2, 3), "old", most=6)
    new = _add(sources, PAGE, (2, 3, 4), "new", most=6)
    _add(sources, PAGE, (5, 6), "newest", most=6)
    found = sources.sources_by_print("s1", (1, 2, 3, 4))
    assert {print_: found[print_][0].id for print_ in found} == {2: new, 3: new, 4: new}


def test_memory_is_bounded(sources: SqliteSources, db: Connection) -> None:
    for number in range(200):
        _add(sources, PAGE, range(number * 40, number * 40 + 60), f"d{number}", most=500)
    assert db.rows("SELECT count(*) <= 500 FROM source_prints") == [(1,)]
    assert db.rows("SELECT prints <= 500 FROM source_families") == [(1,)]
    assert db.rows("SELECT count(*) FROM sources")[0][0] <= 9


def test_a_family_is_forgotten_whole(sources: SqliteSources, db: Connection) -> None:
    _add(sources, PAGE, (1, 2), "d1")
    _add(sources, PAGE, (1, 2), "d1", family="s2")
    sources.drop_family("s1")
    sources.drop_family("never seen")
    assert sources.sources_by_print("s1", (1,)) == {}
    assert set(sources.sources_by_print("s2", (1, 2))) == {1, 2}
    assert db.rows("SELECT count(*) FROM source_prints") == [(2,)]


def test_many_prints_are_asked_at_once(sources: SqliteSources) -> None:
    _add(sources, PAGE, range(0, 30_000, 3), "d1", most=100_000)
    assert len(sources.sources_by_print("s1", range(30_000))) == 10_000


@pytest.mark.parametrize("prints", [(), (0,), (1, 1, 1)], ids=["none", "zero", "twice"])
def test_odd_numbers_of_prints(sources: SqliteSources, prints: tuple[int, ...]) -> None:
    _add(sources, PAGE, prints, "d1")
    assert set(sources.sources_by_print("s1", prints)) == set(prints)
