"""Content-Encoding, undone incrementally: gzip, deflate, br, zstd, and stacks of them.

What is judged must be what the other side reads, so a body that two decoders could read differently
is refused: an unknown encoding, bytes behind the end, a stream cut short, a body that grows past
`MAX_DECODED_BYTES`.
"""

from __future__ import annotations

import zlib
from typing import Protocol

import brotli
import zstandard

from proxy.errors import WireError

MAX_DECODED_BYTES = 256 << 20
_SLICE = 64 << 10  # what is decoded at a time, so that a bomb is noticed while it is small


class _Decoder(Protocol):
    def feed(self, data: bytes) -> bytes: ...
    def finish(self) -> None: ...


class _Zlib:
    """gzip, possibly of several members (RFC 1952 section 2.2), and deflate with or without zlib's head."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started = False
        self._object = zlib.decompressobj(wbits=31 if name == "gzip" else 15)

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        if not self._started:
            self._started = True
            if self._name == "deflate" and not _has_zlib_head(data):
                # RFC 9110 8.4.1.2 notes that some senders leave the zlib wrapper out.
                self._object = zlib.decompressobj(wbits=-15)
        out = self._object.decompress(data)
        while self._object.eof and (rest := self._object.unused_data):
            if self._name != "gzip":
                raise WireError("content-encoding deflate: bytes behind the end")
            self._object = zlib.decompressobj(wbits=31)
            out += self._object.decompress(rest)
        return out

    def finish(self) -> None:
        if self._started and not self._object.eof:
            raise WireError(f"content-encoding {self._name}: the body is cut short")


class _Brotli:
    def __init__(self) -> None:
        self._object = brotli.Decompressor()
        self._started = False

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        self._started = True
        if self._object.is_finished():
            raise WireError("content-encoding br: bytes behind the end")
        return bytes(self._object.process(data))

    def finish(self) -> None:
        if self._started and not self._object.is_finished():
            raise WireError("content-encoding br: the body is cut short")


class _Zstd:
    def __init__(self) -> None:
        self._object = zstandard.ZstdDecompressor().decompressobj()
        self._started = False

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        self._started = True
        if self._object.eof:
            raise WireError("content-encoding zstd: bytes behind the end")
        out = self._object.decompress(data)
        if self._object.unused_data:
            raise WireError("content-encoding zstd: bytes behind the end")
        return out

    def finish(self) -> None:
        if self._started and not self._object.eof:
            raise WireError("content-encoding zstd: the body is cut short")


def _has_zlib_head(data: bytes) -> bool:
    return data[0] & 0x0F == 8 and (len(data) < 2 or (data[0] * 256 + data[1]) % 31 == 0)


def _decoder(name: str) -> _Decoder:
    match name:
        case "gzip" | "x-gzip":
            return _Zlib("gzip")
        case "deflate":
            return _Zlib("deflate")
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstd()
        case _:
            raise WireError(
                f"content-encoding {name!r} is not known; send gzip, deflate, br or zstd"
            )


class ContentDecoder:
    """Undoes one Content-Encoding header."""

    def __init__(self, header: str | None) -> None:
        """Reads the header's value.

        Raises:
            WireError: an encoding that is not known.
        """
        names = [name.strip().lower() for name in (header or "").split(",")]
        self._chain = [_decoder(n) for n in reversed(names) if n and n != "identity"]
        self._decoded = 0

    @property
    def is_identity(self) -> bool:
        return not self._chain

    def feed(self, data: bytes) -> bytes:
        """Returns what these bytes decode to.

        Raises:
            WireError: they do not, or to too much.
        """
        if not self._chain:
            return data
        return b"".join(
            self._feed_slice(data[at : at + _SLICE]) for at in range(0, len(data), _SLICE)
        )

    def _feed_slice(self, data: bytes) -> bytes:
        try:
            for decoder in self._chain:
                data = decoder.feed(data)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            raise WireError(f"content-encoding: the body does not decode ({error})") from error
        self._decoded += len(data)
        if self._decoded > MAX_DECODED_BYTES:
            raise WireError(f"content-encoding: more than {MAX_DECODED_BYTES} bytes decoded")
        return data

    def finish(self) -> None:
        """Checks that the body was complete."""
        for decoder in self._chain:
            decoder.finish()


def decode_body(data: bytes, header: str | None) -> bytes:
    """Undoes the encoding of a whole body."""
    decoder = ContentDecoder(header)
    if decoder.is_identity:
        return data
    decoded = decoder.feed(data)
    decoder.finish()
    return decoded
