"""Recorded Ollama exchanges through the gates, and what their requests say."""

from __future__ import annotations

import httpx
import pytest

from proxy.wire.detect import protocol_for
from tests.upstreams.driving import REF, cuts, drive, recorded_ids, recordings, release


@pytest.mark.parametrize("name", recorded_ids("ollama"))
def test_released_byte_for_byte_however_it_is_cut(name: str) -> None:
    row, oracle = recordings("ollama")[name]
    request, body = row["request_body"].encode(), row["response_body"].encode()
    protocol = protocol_for(row["method"], httpx.URL(row["url"]).path)
    assert protocol is not None
    parsed = protocol.parse_request(request)
    assert parsed.stream == row["streaming"]
    assert parsed.user_text
    for pieces in [[body], *cuts(body, name)]:
        gate = protocol.gate(
            content_type=row["response_headers"]["content-type"],
            status=row["response_status"],
            ref=REF,
            request=parsed,
        )
        left = drive(gate, pieces, release)
        assert left.body == body
        assert [c.call.id for c in left.calls] == [c["id"] for c in oracle["calls"]]
