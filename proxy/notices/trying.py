"""A test of everybody who is told: one message to each notice's targets, one signed event to each webhook.

What belongs here: `checkrein notices test`. Nothing is written down; what went wrong is told at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import uuid_utils

from proxy.notices import chat
from proxy.notices.documents import event_body
from proxy.notices.message import trial
from proxy.notices.posting import Poster
from proxy.notices.targets import Notices


async def try_all(
    notices: Notices, now_ms: int, trust_ca: Path | None = None
) -> Sequence[tuple[str, str | None]]:
    """Sends a test to each; returns (lane, what went wrong) of each."""
    tried: list[tuple[str, str | None]] = []
    for notice in notices.notices:
        for lane, url in zip(notice.lanes, notice.urls, strict=True):
            tried.append((lane, await chat.send(url, trial(notice.name))))
    poster = Poster(trust_ca)
    try:
        for webhook in notices.webhooks:
            delivery = str(uuid_utils.uuid7())
            body = event_body(delivery, "test", now_ms)
            fault = await poster.post(webhook, delivery, "test", body, now_ms)
            tried.append((webhook.lane, fault))
    finally:
        await poster.close()
    return tried
