"""mitmproxy without the addons that rewrite, record, replay or print, and with a chain that fails closed.

`checkrein run` needs nine of mitmproxy's thirty-odd addons. Its own addon manager looks an event's
handlers up once instead of asking every addon at every event, and where mitmproxy logs a handler's
exception and forwards the flow, it kills the flow.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from mitmproxy import addonmanager, exceptions, flow, hooks, master, options
from mitmproxy.addons import (
    block,
    core,
    disable_h2c,
    dns_resolver,
    errorcheck,
    next_layer,
    proxyserver,
    strip_dns_https_records,
    tlsconfig,
)

from proxy.settings import Settings

logger = logging.getLogger("checkrein")

type Handler = Callable[[Any], Any]


class _Addons(addonmanager.AddonManager):
    """An addon manager with a table of handlers."""

    def __init__(self, owner: master.Master) -> None:
        super().__init__(owner)  # type: ignore[no-untyped-call]
        self._table: dict[type[hooks.Hook], tuple[str, tuple[Handler, ...]]] = {}

    def register(self, addon: Any) -> Any:
        """mitmproxy: an addon is added."""
        self._table.clear()
        return super().register(addon)  # type: ignore[no-untyped-call]

    def remove(self, addon: Any) -> None:
        """mitmproxy: an addon is removed."""
        self._table.clear()
        super().remove(addon)  # type: ignore[no-untyped-call]

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        """Runs an event's handlers; an exception kills the flow it is about."""
        field, handlers = self._table.get(type(event)) or self._look_up(event)
        message = getattr(event, field)
        for handler in handlers:
            try:
                result = handler(message)
                if result is not None and inspect.isawaitable(result):
                    await result
            except exceptions.AddonHalt:
                return
            except Exception:
                logger.exception("%s: closed after an unexpected error", event.name)
                if isinstance(message, flow.Flow) and message.killable:
                    message.kill()

    def _look_up(self, event: hooks.Hook) -> tuple[str, tuple[Handler, ...]]:
        found = tuple(
            handler for addon in self.chain for _addon, handler in self._iter_hooks(addon, event)
        )
        self._table[type(event)] = entry = (fields(event)[0].name, found)  # type: ignore[arg-type]
        return entry


class LeanMaster(master.Master):
    """What a gate needs of mitmproxy, and no more."""

    def __init__(self, opts: options.Options) -> None:
        super().__init__(opts)
        self.addons = _Addons(self)
        self.addons.add(  # type: ignore[no-untyped-call]
            core.Core(),
            block.Block(),
            strip_dns_https_records.StripDnsHttpsRecords(),
            disable_h2c.DisableH2C(),
            proxyserver.Proxyserver(),
            dns_resolver.DnsResolver(),
            next_layer.NextLayer(),
            tlsconfig.TlsConfig(),
            errorcheck.ErrorCheck(),
        )


def mitmproxy_options(settings: Settings) -> dict[str, Any]:
    """Returns mitmproxy's options for these settings."""
    listen = f"{settings.listen_host}:{settings.listen_port}"
    mode = f"reverse:{settings.upstream}@{listen}" if settings.upstream else f"regular@{listen}"
    made: dict[str, Any] = {
        "mode": [mode],
        "confdir": str(settings.ca_dir),
        "rawtcp": False,  # what is neither HTTP nor TLS is not carried
        "http3": False,
        "connection_strategy": "lazy",
        "ssl_insecure": settings.insecure_upstream,
    }
    if settings.trust_ca is not None:
        made["ssl_verify_upstream_trusted_ca"] = str(settings.trust_ca)
    return made
