"""Links: each opens once, for a while, and only as it was made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import HoldError
from proxy.ledger.sqlite import SqliteStore
from proxy.pipeline.links import LASTS_MS, Links
from tests.notices.made import NOW_MS

KEY, URL = b"k" * 32, "https://desk.internal:8081"
HOLD = "01a20b21-f296-71d0-a1aa-bceeead6d18d"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path_factory.mktemp("links") / "ledger.sqlite")
    yield made
    made.close()


def token(links: Links, now_ms: int = NOW_MS) -> str:
    link = links.make(HOLD, "leads", now_ms)
    assert link.startswith(f"{URL}/l/")
    return link.removeprefix(f"{URL}/l/")


def opened(store: SqliteStore, text: str, now_ms: int = NOW_MS, key: bytes = KEY) -> str:
    with store.transaction() as tx:
        return Links(key, URL).open_in(tx, text, now_ms)


def test_a_link_opens_once(store: SqliteStore) -> None:
    made = token(Links(KEY, URL + "/"))
    assert opened(store, made) == HOLD
    for later_ms in (NOW_MS, NOW_MS + 1):
        with pytest.raises(HoldError, match="this link has been used"):
            opened(store, made, later_ms)


def test_two_links_to_one_hold_are_two(store: SqliteStore) -> None:
    links = Links(KEY, URL)
    first, second = token(links), token(links)
    assert opened(store, first) == opened(store, second) == HOLD


def test_it_is_used_after_a_restart_too(tmp_path: Path) -> None:
    """What was used, and the key, are the ledger's."""
    store = SqliteStore(tmp_path / "ledger.sqlite")
    with store.transaction() as tx:
        key = tx.state_key("links")
    made = token(Links(key, URL))
    assert opened(store, made, key=key) == HOLD
    store.close()
    store = SqliteStore(tmp_path / "ledger.sqlite")
    with store.transaction() as tx:
        assert tx.state_key("links") == key
    with pytest.raises(HoldError, match="has been used"):
        opened(store, made, key=key)
    store.close()


def test_an_opening_that_is_undone_uses_nothing_up(store: SqliteStore) -> None:
    made = token(Links(KEY, URL))
    with suppress(ZeroDivisionError), store.transaction() as tx:
        Links(KEY, URL).open_in(tx, made, NOW_MS)
        raise ZeroDivisionError
    assert opened(store, made) == HOLD


def test_it_expires(store: SqliteStore) -> None:
    made = token(Links(KEY, URL))
    with pytest.raises(HoldError, match="this link has expired"):
        opened(store, made, NOW_MS + LASTS_MS)
    assert opened(store, made, NOW_MS + LASTS_MS - 1) == HOLD


def test_another_ledger_s_link_is_none(store: SqliteStore) -> None:
    with pytest.raises(HoldError, match="this link was not made here"):
        opened(store, token(Links(b"x" * 32, URL)))


@pytest.mark.parametrize("text", ["", ".", "a.b", "x" * 5000, "é.é", ".eJw.x", "null", "\ud800"])
def test_what_is_no_link(store: SqliteStore, text: str) -> None:
    with pytest.raises(HoldError, match="this link was not made here"):
        opened(store, text)


@given(st.data())
def test_an_altered_link_is_none(store: SqliteStore, data: st.DataObject) -> None:
    """Each single change of a character, also one that base64 would read as the same."""
    made = token(Links(KEY, URL))
    at = data.draw(st.integers(0, len(made) - 1))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/%"
    char = data.draw(st.sampled_from(alphabet).filter(lambda c: c != made[at]))
    with pytest.raises(HoldError, match="this link was not made here"):
        opened(store, made[:at] + char + made[at + 1 :])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_however_links_are_opened_each_opens_once(store: SqliteStore, order: list[int]) -> None:
    links = Links(KEY, URL)
    made = [token(links) for _ in range(5)]
    seen: set[int] = set()
    for one in order:
        if one in seen:
            with pytest.raises(HoldError, match="has been used"):
                opened(store, made[one])
        else:
            assert opened(store, made[one]) == HOLD
        seen.add(one)
