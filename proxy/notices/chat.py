"""Messages to people by apprise: Slack, mail, push and a hundred more, each behind a URL.

What belongs here: all that this package knows of apprise. Its services run in threads of the loop's executor and have timeouts of their
own; we wait no longer than `timeout_s`. Its log would name URLs, which carry tokens, so it is silenced; nothing of a failure is told
but that there was one.
"""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from proxy.notices.message import Message

if TYPE_CHECKING:
    import apprise

TIMEOUT_S = 20.0


@cache
def _asset() -> apprise.AppriseAsset:
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # it names paths at DEBUG
    wanted: dict[str, Any] = {
        "app_id": "checkrein",
        "app_desc": "checkrein",
        "http_redirects": False,
        "interpret_emojis": False,
        "interpret_escapes": False,
    }
    known = {name: value for name, value in wanted.items() if hasattr(apprise.AppriseAsset, name)}
    return apprise.AppriseAsset(storage_mode=apprise.PersistentStoreMode.MEMORY, **known)


def is_target(url: str) -> bool:
    """Whether a service of apprise takes this URL."""
    return len(_opened(url)) > 0


async def send(url: str, message: Message, *, timeout_s: float = TIMEOUT_S) -> str | None:
    """Sends a message to one URL; returns None, or what went wrong, without the URL."""

    services = _opened(url)
    if not len(services):
        return "no service of apprise takes this URL"
    try:
        async with asyncio.timeout(timeout_s):
            told = [await _told(service, message) for service in services]
    except TimeoutError:
        return f"no answer in {timeout_s:g} s"
    except Exception as error:  # noqa: BLE001 - a hundred services; their texts name URLs
        return f"it failed ({type(error).__name__})"
    return None if all(told) else "the service did not take it"


async def _told(service: Any, message: Message) -> bool:
    """Sends to one service: as Markdown where it shows that, or makes HTML of it, else as text."""
    import apprise

    one = apprise.Apprise(asset=_asset())
    one.add(service)
    resolved = getattr(
        service, "resolve_format", None
    )  # since 2.3; before, a service had one format
    wanted = apprise.NotifyFormat.MARKDOWN
    spoken = service.notify_format if resolved is None else resolved(wanted)
    is_text = spoken == apprise.NotifyFormat.TEXT
    return bool(
        await one.async_notify(
            title=message.title,
            body=message.text if is_text else message.markdown,
            body_format=apprise.NotifyFormat.TEXT if is_text else apprise.NotifyFormat.MARKDOWN,
            notify_type=apprise.NotifyType.WARNING,
        )
    )


def _opened(url: str) -> apprise.Apprise:
    import apprise

    services = apprise.Apprise(asset=_asset())
    services.add(url)
    return services
