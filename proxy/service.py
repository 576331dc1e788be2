"""A whole proxy put together: rules, ledger, log, pipeline, hooks, admin side.

`Service.build` does everything that can fail before the first connection is taken. `checkrein run`
drives it with a mitmproxy master of its own that has only the addons it needs; `mitmdump -s
scripts/addon.py` loads `addon_from_environment()` into a full one.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitmproxy import exceptions, options
from mitmproxy.utils import asyncio_utils

from proxy.addon.gatekeeper import Gatekeeper
from proxy.addon.master import LeanMaster, mitmproxy_options
from proxy.addon.stream import install
from proxy.decisionlog import DecisionLog
from proxy.errors import CheckreinError, ConfigurationError
from proxy.inbox.api import application
from proxy.inbox.server import AdminServer, WebServer
from proxy.ledger.sqlite import SqliteStore
from proxy.ledger.writer import LedgerWriter
from proxy.notices.reading import notices_in
from proxy.notices.sending import Sender, attach
from proxy.notices.targets import Notices
from proxy.notices.trying import try_all
from proxy.pipeline.changes import Changes
from proxy.pipeline.core import Pipeline
from proxy.pipeline.records import error_record
from proxy.policy.ruleset import RuleSet
from proxy.rulewatch import RuleWatch
from proxy.settings import Settings, admin_socket_path, default_state_path, packs_directory
from proxy.wire.detect import PROTOCOLS

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from proxy.people.current import CurrentPeople

logger = logging.getLogger("checkrein")


class Service:
    """One proxy's parts, made and taken down together."""

    def __init__(
        self, settings: Settings, pipeline: Pipeline, writer: LedgerWriter, log: DecisionLog
    ) -> None:
        self.settings = settings
        self.pipeline = pipeline
        self.listening: list[str] = []
        self.watch: RuleWatch | None = None
        self.sender: Sender | None = None
        self._writer = writer
        self._log = log
        self._admin: AdminServer | None = None
        self._store: SqliteStore | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self.web: WebServer | None = None
        self._site: Callable[[], ASGIApp] | None = None
        self._people: CurrentPeople | None = None

    @classmethod
    def build(cls, settings: Settings) -> Service:
        """Loads rules, opens ledger and log, and proves that both can be written.

        Raises:
            CheckreinError: one of them cannot; the message says which and what to do.
        """
        paths = settings.rules or (packs_directory() / "default.yaml",)
        rules = RuleSet.load(paths)
        notices = notices_in(settings.people, os.environ) if settings.people else Notices()
        log = DecisionLog(settings.log)
        store = SqliteStore(settings.state)
        changes = Changes()

        def sink(records: Sequence[dict[str, Any]]) -> tuple[int, int] | None:
            placed = log.append(records)
            changes.note(records)
            return placed

        writer = LedgerWriter(store, sink)
        pipeline = Pipeline(rules, writer, settings)
        people = _people(settings, pipeline, writer)
        pipeline.start(tuple(PROTOCOLS))
        service = cls(settings, pipeline, writer, log)
        service._store, service._people = store, people
        if settings.inbox is not None and people is not None:
            service.web = WebServer(settings.inbox, settings.inbox_tls)
            pipeline.own_addresses.append(service.web.address)
            service._site = lambda: _site(service, people, changes)
        service.sender = attach(pipeline, notices) if notices else None
        # Here and not when the proxy is up: an agent must find no proxy that no human can reach.
        service.watch = watch = RuleWatch(pipeline, paths)
        service._admin = AdminServer(
            application(
                pipeline,
                service.status,
                watch.look,
                people,
                (lambda: try_all(notices, pipeline.now_ms(), settings.trust_ca))
                if notices
                else None,
            ),
            settings.admin,
        )
        return service

    def status(self) -> dict[str, Any]:
        """How this proxy runs, for the admin side."""
        seq, head = self._log.head
        return {
            "pid": os.getpid(),
            "listen": self.listening,
            "upstream": self.settings.upstream,
            "log": str(self.settings.log.absolute()),  # who asks may be elsewhere
            "head": {"seq": seq, "hash": head},
            "state": str(self.settings.state.absolute()),
            "ca": str(self.settings.ca_dir.absolute() / "mitmproxy-ca-cert.pem"),
            **self.pipeline.rulebook.status(),
            "shadow": self.settings.shadow,
            "inbox": None if self.web is None else f"{self.web.address[0]}:{self.web.address[1]}",
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def inbox_names(self) -> frozenset[str]:
        """Returns the names, with ports, under which people reach the web inbox."""
        if self.web is None:
            return frozenset()
        host, port = self.web.address
        shown = f"[{host}]" if ":" in host else host
        names = {f"{shown}:{port}".lower()}
        if ipaddress.ip_address(host).is_loopback:
            names |= {f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"}
            names.add(f"checkrein.localhost:{port}")
        # A browser leaves out its scheme's own port.
        usual = ":443" if self.web.tls is not None else ":80"
        names |= {name.removesuffix(usual) for name in names if name.endswith(usual)}
        url = self._people.people.url if self._people is not None else None
        if url is not None:
            scheme, _, name = url.lower().partition("://")
            names |= {name, name.removesuffix(":443" if scheme == "https" else ":80")}
        return frozenset(names)

    def start(self) -> None:
        """Starts the admin side, the sweeper and the watch over rule files in the running loop."""
        if self._admin is None:
            raise ConfigurationError("the service was not built")
        work: dict[str, Coroutine[Any, Any, None]] = {
            "admin": self._admin.serve(),
            "sweep": self.pipeline.sweep(),
        }
        if self.web is not None and self._site is not None:
            work["inbox"] = self.web.serve(self._site())
        if self.watch is not None:
            work["rules"] = self.watch.run(watching=self.settings.watch_rules)
        if self.sender is not None:
            work["notices"] = self.sender.serve()
        for name, coroutine in work.items():
            task = asyncio_utils.create_task(coroutine, name=f"checkrein {name}", keep_ref=True)
            self._tasks.append(task)

    async def stop(self) -> None:
        """Ends cleanly: holds stay pending, what was acknowledged is on disk."""
        self.pipeline.close()
        if self._admin is not None:
            self._admin.stop()
        if self.web is not None:
            self.web.stop()
        for task in self._tasks:
            if not task.get_name().endswith(("admin", "inbox")):
                task.cancel()
        if self._tasks:  # none where the proxy never came up, its port was taken
            await asyncio.wait(self._tasks, timeout=2.0)
        else:
            for server in (self._admin, self.web):
                if server is not None:
                    server.close()
        self._writer.close()
        if self._store is not None:
            self._store.close()  # folds the write-ahead log into the file
        self._log.close()


def _site(service: Service, people: CurrentPeople, changes: Changes) -> ASGIApp:
    """Returns the web inbox; its libraries are loaded only where there is one."""
    from proxy.inbox.web.site import application as web_application

    pipeline, settings = service.pipeline, service.settings
    return web_application(pipeline, people, settings, changes, service.inbox_names)


def _people(settings: Settings, pipeline: Pipeline, writer: LedgerWriter) -> CurrentPeople | None:
    """Returns the people file's people, where there is one.

    Raises:
        ConfigurationError, RuleErrors: it cannot be used, or the web inbox has nobody to let in.
    """
    if settings.people is None:
        if settings.inbox is not None:
            raise ConfigurationError(
                "--inbox: the web inbox lets in whom a people file names; make one with "
                "`checkrein people init people.yaml`, and name it with --people"
            )
        return None

    from proxy.people.current import CurrentPeople
    from proxy.people.people import cannot_be_answered

    def told(text: str) -> None:
        logger.error("people: %s", text)
        with contextlib.suppress(CheckreinError):  # stderr has it
            writer.submit(lambda _tx, emit: emit(error_record(None, "people", text)))

    people = CurrentPeople(settings.people, told)
    asked = {a.name: (*a.by, *a.escalate_to) for a in pipeline.rules.approvals}
    for name in cannot_be_answered(people.people, asked):
        logger.warning("approval '%s': nobody in the people file may answer what it asks for", name)
    if settings.inbox is not None and not people.people.can_sign_in:
        raise ConfigurationError(
            f"--inbox: nobody in {settings.people} can sign in: give somebody a `password` from "
            "`checkrein people password`, or name an identity provider under `oidc:`"
        )
    url = people.people.url
    is_sealed = settings.inbox_tls is not None or (url or "").startswith("https:")
    if settings.inbox is not None and not _is_loopback(settings.inbox[0]) and not is_sealed:
        raise ConfigurationError(
            f"--inbox {settings.inbox[0]}: others could read passwords on the way; give --inbox-tls CERT KEY, "
            "or put TLS in front and say so with `url: https://…` in the people file"
        )
    return people


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Addon(Gatekeeper):
    """The hooks with the service's life around them."""

    def __init__(self, service: Service, on_ready: Callable[[Service], None] | None = None) -> None:
        super().__init__(service.pipeline)
        self._service = service
        self._on_ready = on_ready

    def load(self, loader: Any) -> None:
        """mitmproxy: the addon is loaded; what would lead round it is switched off."""
        install()
        # A full mitmproxy carries bytes that are no HTTP, and QUIC.
        loader.master.options.update(rawtcp=False, http3=False)

    def configure(self, updated: set[str]) -> None:
        """mitmproxy: options have changed.

        Raises:
            OptionsError: an option under which a request leaves before it is judged.
        """
        from mitmproxy import ctx

        if "stream_large_bodies" in updated and ctx.options.stream_large_bodies:
            raise exceptions.OptionsError(
                "stream_large_bodies: a streamed request leaves before it is judged; "
                "take the option out"
            )

    def running(self) -> None:
        """mitmproxy: the proxy is up."""
        from mitmproxy import ctx

        server = ctx.master.addons.get("proxyserver")
        addresses: list[Any] = server.listen_addrs() if server is not None else []
        self._service.listening = [f"{a[0]}:{a[1]}" for a in addresses]
        self._service.start()
        if self._on_ready is not None:
            self._on_ready(self._service)

    async def done(self) -> None:
        """mitmproxy: the proxy goes down."""
        await self._service.stop()


async def serve(settings: Settings, on_ready: Callable[[Service], None]) -> None:
    """Runs a proxy until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: the address to listen on cannot be had.
    """
    _try_address(settings)
    service = Service.build(settings)
    opts = options.Options()
    running = LeanMaster(opts)
    running.addons.add(Addon(service, on_ready))
    opts.update(**mitmproxy_options(settings))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        service.pipeline.close()
        running.shutdown()  # type: ignore[no-untyped-call]

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop)
    if service.watch is not None:
        loop.add_signal_handler(signal.SIGHUP, service.watch.wake)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # Rules, modules and tables stay for good; streams come in thousands. The collector's default of
    # 700 objects a round finds them again and again.
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    await running.run()


def _try_address(settings: Settings) -> None:
    """Finds a taken port while the message can still say what to do; mitmproxy's own cannot."""
    where = (settings.listen_host, settings.listen_port)
    try:
        family = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise ConfigurationError(
            f"--listen {where[0]}:{where[1]}: {error.strerror or error}; choose another address"
        ) from error


def addon_from_environment() -> Addon:
    """Builds the addon for a foreign mitmproxy master (`mitmdump -s scripts/addon.py`).

    CHECKREIN_RULES (paths, separated as in PATH), CHECKREIN_STATE, CHECKREIN_LOG, CHECKREIN_ADMIN,
    CHECKREIN_SHADOW=1, CHECKREIN_HOLD_WAIT_S say what the command line of `checkrein run` would.
    """
    env = os.environ
    state = Path(env.get("CHECKREIN_STATE") or default_state_path())
    try:
        hold_wait_s = float(env.get("CHECKREIN_HOLD_WAIT_S", "50"))
    except ValueError as error:
        raise ConfigurationError("CHECKREIN_HOLD_WAIT_S: not a number of seconds") from error
    rules: Sequence[str] = [p for p in env.get("CHECKREIN_RULES", "").split(os.pathsep) if p]
    settings = Settings(
        state=state,
        log=Path(env.get("CHECKREIN_LOG") or state.parent / "decisions.jsonl"),
        admin=admin_socket_path(state),
        rules=tuple(Path(p) for p in rules),
        shadow=env.get("CHECKREIN_SHADOW", "") not in ("", "0"),
        hold_wait_s=hold_wait_s,
    )
    return Addon(Service.build(settings))
