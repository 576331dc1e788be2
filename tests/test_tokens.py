"""Tokens are counted with what is in the package: right, offline, from any thread."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest
import tiktoken
import tiktoken_ext.openai_public  # type: ignore[import-untyped]  # it ships no types

from proxy import tokens


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing loaded, no network, and a cache directory that must stay empty."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("tokens must not use the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(tokens, "_loaded", {})
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return tmp_path


# Ids that the published vocabularies give; the second is the example of OpenAI's cookbook.
@pytest.mark.parametrize(
    ("model", "text", "ids"),
    [
        ("gpt-4", "hello world", [15339, 1917]),
        ("gpt-4", "tiktoken is great!", [83, 1609, 5963, 374, 2294, 0]),
        ("gpt-4o", "hello world", [24912, 2375]),
        ("gpt-5-mini", "", []),
    ],
    ids=["cl100k", "cl100k-cookbook", "o200k", "empty"],
)
def test_known_texts(cold: Path, model: str, text: str, ids: list[int]) -> None:
    assert tokens.encoding_for(model).encode_ordinary(text) == ids
    assert tokens.count_tokens(text, model) == len(ids)
    assert list(cold.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4-0613", "cl100k_base"),
        ("openai/gpt-4o-2024-08-06", "o200k_base"),
        ("gpt-oss-120b", "o200k_base"),
        ("text-davinci-003", "o200k_base"),
        ("claude-sonnet-5", "o200k_base"),
        ("", "o200k_base"),
        (None, "o200k_base"),
    ],
)
def test_the_encoding_of_a_model(model: str | None, name: str) -> None:
    assert tokens.encoding_for(model).name == name


@pytest.mark.parametrize("name", tokens.VOCABULARIES)
def test_patterns_and_special_tokens_are_tiktokens(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update of tiktoken that changes an encoding shows here."""
    asked: list[str] = []

    def no_download(_: str, expected_hash: str) -> dict[bytes, int]:
        asked.append(expected_hash)
        return {}

    monkeypatch.setattr(tiktoken_ext.openai_public, "load_tiktoken_bpe", no_download)
    theirs = tiktoken_ext.openai_public.ENCODING_CONSTRUCTORS[name]()
    ours = tokens.VOCABULARIES[name]
    assert asked == [ours.sha256]
    assert theirs["pat_str"] == ours.pattern
    assert theirs["special_tokens"] == ours.special_tokens


def test_many_threads_load_once(cold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    real = tokens._load

    def load(name: str) -> tiktoken.Encoding:
        loads.append(name)
        return real(name)

    monkeypatch.setattr(tokens, "_load", load)
    with ThreadPoolExecutor(8) as pool:
        counts = set(pool.map(lambda _: tokens.count_tokens("hello world", "gpt-4"), range(32)))
    assert (counts, loads) == ({2}, ["cl100k_base"])


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, " " * 1_000_000, "\ud800 lone", "<|endoftext|>", "\x00\n🙂"],
    ids=["one word", "blanks", "surrogate", "special", "odd"],
)
@pytest.mark.timeout(20)
def test_hostile_text_is_counted(text: str) -> None:
    assert tokens.count_tokens(text) > 1


def test_a_damaged_vocabulary_is_named(cold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tokens.Vocabulary("0" * 64, "", {})
    monkeypatch.setitem(tokens.VOCABULARIES, "o200k_base", wrong)
    with pytest.raises(RuntimeError, match=r"o200k_base\.tiktoken\.xz: not the published"):
        tokens.encoding_for()
