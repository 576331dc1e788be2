"""`checkrein tail`: the decision log, readable, one line a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from proxy.cli.admin import AdminClient, echo_json, plain
from proxy.cli.options import admin_option
from proxy.errors import ConfigurationError
from proxy.logtail import follow
from proxy.settings import default_state_path

_STYLES = {
    "allow": "green",
    "hold": "yellow",
    "block": "bold red",
    "approved": "green",
    "used": "green",
    "denied": "bold red",
    "expired": "red",
    "abandoned": "dim",
    "parked": "yellow",
    "changed": "bold yellow",
    "added": "yellow",
    "removed": "yellow",
    "error": "bold red",
}


@click.command("tail")
@click.option("--log", type=click.Path(path_type=Path), help="The log file.")
@click.option("--session", help="Only this session.")
@click.option("--agent", help="Only this agent.")
@click.option("--verdict", type=click.Choice(["allow", "hold", "block"]), help="Only this verdict.")
@click.option("--type", "kind", help="Only records of this type (decision, settlement, hold …).")
@click.option("--json", "as_json", is_flag=True, help="The records themselves.")
@click.option("--from-start", is_flag=True, help="Begin with the first record.")
@click.option("--no-follow", is_flag=True, help="End at the end of the file.")
@admin_option
def command(
    *,
    log: Path | None,
    session: str | None,
    agent: str | None,
    verdict: str | None,
    kind: str | None,
    as_json: bool,
    from_start: bool,
    no_follow: bool,
    admin: Path | None,
) -> None:
    """Follow the decision log, over rotations, until interrupted."""
    path = log or log_of_running(admin)
    console = Console(soft_wrap=True, highlight=False)
    wanted = {"session": session, "agent": agent, "verdict": verdict, "type": kind}
    try:
        for record in follow(path, from_start=from_start or no_follow, until_idle=no_follow):
            if any(
                value is not None and record.get(name) != value for name, value in wanted.items()
            ):
                continue
            if as_json:
                echo_json(record)
            else:
                console.print(line_of(record))
    except KeyboardInterrupt:
        return


def line_of(record: dict[str, Any]) -> Text:
    """Returns one record as a readable line: when, verdict, session, what, why, what is left."""
    word = str(record.get("verdict") or record.get("event") or record.get("state") or "")
    kind = str(record.get("type", "?"))
    shown = word or kind
    line = Text()
    _append(line, str(record.get("time", ""))[11:23] + " ", style="dim")
    style = _STYLES.get("error" if kind == "error" else word, "")
    _append(line, f"{'error' if kind == 'error' else shown:<9}", style=style)
    _append(line, f" {kind:<10} ", style="dim")
    _append(line, f"{record.get('session') or '-'} ", style="cyan")
    call = record.get("call") or {}
    if call:
        arguments = f"({_arguments(call['args'])})" if "args" in call else ""
        _append(line, f"{call.get('name')}{arguments}", style="bold")
    for effect in record.get("effects") or ():
        amount = "" if effect["amount"] is None else f" {effect['amount']} {effect['unit'] or ''}"
        _append(line, f" · {_shadow(effect)}{effect['kind']}{amount} → {effect['target']}")
    if record.get("would") not in (None, "allow"):
        _append(line, f" · would {record['would']}", style="yellow")
    for reason in record.get("reasons") or ():
        style = "dim yellow" if _shadow(reason) else "yellow"
        _append(line, f" · {_shadow(reason)}{reason['rule']}: {reason['text']}", style=style)
    for budget in record.get("budgets") or ():
        _append(
            line,
            f" · {_shadow(budget)}{budget['name']}"
            f" {budget['before']}→{budget['after']}/{budget['limit']}",
            style="dim",
        )
    hold = record.get("hold")
    if hold:
        _append(line, f" · hold {hold['id']}", style="yellow")
    for name in ("by", "where", "error"):
        if record.get(name):
            _append(line, f" · {name} {record[name]}", style="dim")
    if kind == "signal":
        _append_signal(line, record)
    if kind == "tools":
        named = ", ".join(str(tool.get("name")) for tool in record.get("tools") or ())
        _append(line, f"{record.get('server') or record.get('provider')}: {named}")
    if kind == "rules":
        _append(line, f" {record.get('rules')} {', '.join(record.get('files') or ())}")
        for renamed in record.get("renamed") or ():
            _append(line, f" · {renamed['was']} is now {renamed['name']}")
        for problem in record.get("problems") or ():
            _append(line, f" · {problem}")
    return line


def _shadow(part: dict[str, Any]) -> str:
    """Marks what stops nothing; in a log of before rules had modes there is no such word."""
    return "(shadow) " if part.get("mode") == "shadow" else ""


def _append_signal(line: Text, record: dict[str, Any]) -> None:
    """Adds whose tool it is, on what, and each changed field as it was and is."""
    _append(line, f"{record.get('server')} {record.get('tool')}", style="bold")
    _append(line, f" · {record.get('on')}", style="yellow")
    for change in record.get("changes") or ():
        before, after = _was(change.get("before")), _was(change.get("after"))
        _append(line, f" · {change.get('field')}: {before} → {after}", style="yellow")


def _was(value: Any) -> str:
    return "—" if value is None else _short(value)


def _append(line: Text, text: str, style: str = "") -> None:
    line.append(plain(text), style=style)


def _arguments(arguments: Any) -> str:
    if not isinstance(arguments, dict):
        return "" if arguments is None else _short(arguments)
    return ", ".join(f"{name}={_short(value)}" for name, value in arguments.items())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def log_of_running(admin: Path | None) -> Path:
    try:
        return Path(AdminClient(admin).get("/v1/status")["log"])
    except ConfigurationError:
        path = default_state_path().parent / "decisions.jsonl"
        if path.exists():
            return path
        raise ConfigurationError(
            "no running proxy and no log in the usual place; name it with --log FILE"
        ) from None
