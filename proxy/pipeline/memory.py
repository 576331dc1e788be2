"""Refused responses, kept until the next request needs them and over a restart.

The store keeps them as opaque documents; their names (keys) are also held in memory, so that a
request that refers to none of them, nearly every one, costs a set look-up and no transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from proxy.ledger.store import Transaction
from proxy.ledger.writer import Emit, LedgerWriter
from proxy.wire.codec import RefusedResponse

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(RefusedResponse).decode


class RefusalMemory:
    """Remembers refused responses by every name a later request may use for them."""

    def __init__(self, writer: LedgerWriter, now_ms: Callable[[], int]) -> None:
        self._writer = writer
        self._now_ms = now_ms
        self._keys: dict[str, set[str]] = {}

    def load(self, providers: Sequence[str]) -> None:
        """Reads the names of what was remembered before a restart; blocks, at start only."""

        def read(tx: Transaction, _emit: Emit) -> dict[str, set[str]]:
            return {name: set(tx.memory_keys(name)) for name in providers}

        self._keys = self._writer.submit(read).result()

    async def remember(self, response: RefusedResponse) -> None:
        """Makes a refused response durable before its refusal leaves."""
        document = _encode(response)

        def write(tx: Transaction, _emit: Emit) -> None:
            tx.remember(
                ref=response.ref,
                provider=response.provider,
                keys=response.keys,
                document=document,
                now_ms=self._now_ms(),
            )

        await self._writer.run(write)
        self._keys.setdefault(response.provider, set()).update(response.keys)

    async def recall(self, provider: str, names: Sequence[str]) -> list[RefusedResponse]:
        """Returns what is remembered under any of these names, oldest first."""
        known = self._keys.get(provider)
        if not known:
            return []
        wanted = [name for name in names if name in known]
        if not wanted:
            return []
        rows = await self._writer.run(lambda tx, _emit: tx.recall(provider, wanted))
        return [_decode(document) for _ref, document in rows]

    async def forget(self, provider: str, name: str) -> None:
        """Drops one name: a conversation on the provider's side now has its outputs."""
        if name not in self._keys.get(provider, ()):
            return
        await self._writer.run(lambda tx, _emit: tx.forget_key(provider, name))
        self._keys[provider].discard(name)
