"""Who sent a flow: credential, headers, body hints and earlier answers put together for `identify`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qs

from mitmproxy import http

from proxy.addon.credentials import Credentials, Run
from proxy.identity import Claims, identify
from proxy.model import Identity
from proxy.pipeline.core import Pipeline
from proxy.wire.codec import ParsedRequest

_CREDENTIAL = "checkrein_credential"
_ID = re.compile(
    r"(?=.*[0-9])[\w.:-]{4,}"
)  # "resp_68…", "run_7…", "v1_Ch…", never "runs" or "steps"


class Identification:
    """Finds out, and notes, in which session a request belongs."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._credentials = Credentials(pipeline)

    async def of_connection(self, flow: http.HTTPFlow) -> None:
        """Notes the credential that a CONNECT brings for all that comes through its tunnel."""
        await self._credentials.of_connection(flow)

    async def of_request(self, flow: http.HTTPFlow) -> None:
        """Notes the credential that this request brings, and takes it off."""
        flow.metadata[_CREDENTIAL] = await self._credentials.of_request(flow)

    async def identify(
        self,
        flow: http.HTTPFlow,
        parsed: ParsedRequest | None = None,
        *,
        key_is_checked: bool = True,
    ) -> Identity:
        """Returns the identity a flow is judged under, and logs its session when it is new.

        `key_is_checked`: the upstream refuses a made-up API key, as model APIs do.
        """
        peer = str(flow.client_conn.peername[0])
        hints: Mapping[str, str] = parsed.hints if parsed is not None else {}
        names = [hints["previous_response_id"]] if hints.get("previous_response_id") else []
        if parsed is None and key_is_checked:
            # A stored answer is fetched again: its id is in the path (`…/runs/{id}/steps`).
            names = _ids_in(flow.request.path)
        linked = None
        for name in names:
            linked = linked or await self._pipeline.linked_session("response:" + name)
        run: Run | None = flow.metadata.get(_CREDENTIAL)
        query = parse_qs(flow.request.path.partition("?")[2])
        identity = identify(
            Claims(
                headers={k.lower(): v for k, v in flow.request.headers.items()},
                query_keys=tuple(query.get("key", ())),
                peer=peer,
                credential=None if run is None else run[:2],
                human=None if run is None else run[2],
                hints=hints,
                linked_session=linked,
                opening=parsed.opening if parsed is not None else "",
                key_is_checked=key_is_checked,
            )
        )
        await self._pipeline.see_session(identity, peer)
        return identity


def _ids_in(path: str) -> list[str]:
    """The segments of a path that may be an answer's id, the last first."""
    segments = path.partition("?")[0].split("/")
    return [segment for segment in reversed(segments) if _ID.fullmatch(segment)][:3]
