"""The command line, one file a command; each is imported only when it is called."""

from __future__ import annotations

import sys
from typing import Any

import click

from proxy import __version__
from proxy.cli.lazy import LazyGroup
from proxy.errors import CheckreinError, ConfigurationError

_COMMANDS = {
    "run": ("proxy.cli.run", "Run the proxy."),
    "exec": ("proxy.cli.exec", "Run an agent through the proxy, nothing else to set."),
    "mcp": ("proxy.cli.mcp.command", "Judge the calls of a tool server over stdio."),
    "tail": ("proxy.cli.tail", "Follow the decision log, readable."),
    "holds": ("proxy.cli.holds", "List, show, watch, approve and deny held calls."),
    "sessions": ("proxy.cli.sessions", "List, show, freeze and thaw sessions."),
    "grants": ("proxy.cli.grants", "List grants, and take them back."),
    "people": ("proxy.cli.people", "Who may answer: make and check the people file."),
    "notices": ("proxy.cli.notices", "Test notices and webhooks, and see what waits."),
    "signals": ("proxy.cli.signals", "List, lift and post signals, freeze agents."),
    "rules": ("proxy.cli.rules", "Check, test, explain, replay and suggest rules."),
    "log": ("proxy.cli.log", "Verify the decision log."),
    "demo": ("proxy.cli.demo.command", "The whole story on this machine, no keys needed."),
}


@click.group(
    cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="checkrein")
def cli() -> None:
    """checkrein keeps LLM agents inside an autonomy budget."""


def main(args: list[str] | None = None) -> Any:
    """Entry point; exit codes: 0 fine, 1 a check failed, 2 wrong usage or configuration."""
    try:
        return cli.main(args, prog_name="checkrein", standalone_mode=True)
    except ConfigurationError as error:
        click.echo(f"checkrein: {error}", err=True)
        sys.exit(2)
    except CheckreinError as error:
        click.echo(f"checkrein: {error}", err=True)
        sys.exit(2 if type(error).__name__ == "RuleErrors" else 1)
    except BrokenPipeError:
        sys.exit(0)
