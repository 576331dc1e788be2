"""`checkrein demo`: an agent stopped at the refund that would carry the sum past the budget.

Everything is on this machine: a scripted model that speaks the vendor's wire format, a billing API with
a database of its own, an agent on the vendor's SDK, and a real proxy in a process of its own between
them. With --yes the hold is approved as an operator would do it; else in another terminal.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from proxy.cli.admin import AdminClient, whoami
from proxy.cli.demo.agents import Api
from proxy.cli.demo.billing import Billing
from proxy.cli.demo.model import ScriptedModel
from proxy.cli.demo.story import refunds_script, run_story
from proxy.cli.exec import started_proxy
from proxy.cli.tail import line_of
from proxy.errors import CheckreinError
from proxy.logtail import follow, verify
from proxy.settings import packs_directory

_STYLES = {"text": "italic", "call": "bold", "result": "dim"}


@click.command("demo")
@click.option(
    "--api",
    type=click.Choice(["chat", "responses", "anthropic"]),
    default="chat",
    show_default=True,
)
@click.option("--yes", is_flag=True, help="Approve the hold by itself, as an operator would.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep state and log here.")
def command(*, api: Api, yes: bool, folder: Path | None) -> None:
    """The whole story on this machine, no keys needed."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    with contextlib.ExitStack() as stack:
        place = folder or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="checkrein-demo-"))
        )
        place.mkdir(parents=True, exist_ok=True)
        billing = stack.enter_context(Billing(place / "billing.sqlite"))
        model = stack.enter_context(ScriptedModel(refunds_script, delay_s=0.01))
        client = stack.enter_context(_proxy(place))
        run = client.post("/v1/credentials", {"session": "demo", "agent": "support-agent"})
        listen = client.get("/v1/status")["listen"][0]
        log = place / "decisions.jsonl"
        console.print(f"A support agent on the {api} API, behind checkrein on {listen}.")
        console.print("Its budget: 100 EUR of refunds a session. It is asked to refund 3 x 45 EUR.")
        console.print(f"The decision log: {log}\n")
        stop = stack.enter_context(_tailing(console, log))
        stack.enter_context(_operator(console, client, yes=yes))
        said = run_story(
            f"http://checkrein:{run['token']}@{listen}",
            model,
            billing,
            api,
            lambda kind, text: console.print(Text(f"  agent {kind:<6} {text}", _STYLES[kind])),
        )
        time.sleep(0.5)  # the log's last lines
        stop.set()
        console.print(f"\nThe agent's last words: {said}")
        _prove(console, client, billing, log)


def _prove(console: Console, client: AdminClient, billing: Billing, log: Path) -> None:
    """Shows what happened and what did not: billing's own table, the holds, the log's chain."""
    refunds = billing.refunds()
    console.print("\nBilling's own table:")
    for order, amount in refunds:
        console.print(f"  {order}  {amount} EUR")
    holds = client.get("/v1/holds")["holds"]
    for hold in holds:
        console.print(f"hold {hold['id']}: {hold['state']} (by {hold['decided_by'] or '-'})")
    report = verify([log])
    for file, line, text in report.problems:
        console.print(f"{file}:{line}: {text}")
    if not report.ok:
        raise CheckreinError("the log's chain is broken")
    console.print(f"The log's chain holds: {report.records} records.")
    allowed = sum(45 for hold in holds if hold["state"] == "used") + 90
    if not holds or sum(amount for _, amount in refunds) != allowed:
        raise CheckreinError("the story did not go as told: see the log above")


@contextlib.contextmanager
def _proxy(place: Path) -> Iterator[AdminClient]:
    rules = packs_directory() / "support-desk.yaml"
    options = ["--state", str(place / "state.sqlite"), "--log", str(place / "decisions.jsonl")]
    options += ["--rules", str(rules), "--hold-wait", "9m", "--keepalive", "2s"]
    options += ["--ca-dir", str(place / "ca")]
    with started_proxy(options, place / "admin.sock") as client:
        yield client


@contextlib.contextmanager
def _tailing(console: Console, log: Path) -> Iterator[threading.Event]:
    """Prints the log as it is written, as `checkrein tail` does."""
    stop = threading.Event()

    def tail() -> None:
        for record in follow(log, from_start=True, poll_s=0.05, stop=stop.is_set):
            console.print(Text("    log ", "dim").append_text(line_of(record)))

    thread = threading.Thread(target=tail, daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(5)


@contextlib.contextmanager
def _operator(console: Console, client: AdminClient, *, yes: bool) -> Iterator[None]:
    """Watches for the hold: answers it, or says how to."""
    stop = threading.Event()

    def watch() -> None:
        seen: set[str] = set()
        while not stop.wait(0.2):
            for hold in client.get("/v1/holds", state=["pending"])["holds"]:
                if hold["id"] in seen:
                    continue
                seen.add(hold["id"])
                command_line = [sys.executable, "-m", "proxy", "holds", "approve", hold["id"]]
                command_line += ["--admin", str(client.path)]
                if yes:
                    time.sleep(1.0)
                    console.print(f"\n$ checkrein holds approve {hold['id']} --by {whoami()}")
                    subprocess.run(command_line, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # ourselves
                    continue
                console.print("\nHeld. In another terminal, look at it and answer:")
                for verb in ("show", "approve", "deny"):
                    console.print(
                        f"  {Path(sys.argv[0])} holds {verb} {hold['id']} --admin {client.path}",
                        style="bold",
                    )
                console.print()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)
