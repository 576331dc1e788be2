"""AWS Bedrock's runtime: Converse, ConverseStream, InvokeModel and its stream."""

from __future__ import annotations

from proxy.wire.codec import Target, WireProtocol

PROTOCOLS: tuple[WireProtocol, ...] = ()
"""One a name under which memories are kept."""


def claims(target: Target) -> WireProtocol | None:
    """Returns this API's protocol where the target is one of its endpoints."""
    return None
