"""The command line, one file a command; each is imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from proxy import __version__
from proxy.errors import CheckreinError, ConfigurationError

_COMMANDS = {
    "run": ("proxy.cli.run", "Run the proxy."),
    "exec": ("proxy.cli.exec", "Run an agent through the proxy, nothing else to set."),
    "mcp": ("proxy.cli.mcp.command", "Judge the calls of a tool server over stdio."),
    "tail": ("proxy.cli.tail", "Follow the decision log, readable."),
    "holds": ("proxy.cli.holds", "List, show, approve and deny held calls."),
    "sessions": ("proxy.cli.sessions", "List, show, freeze and thaw sessions."),
    "signals": ("proxy.cli.signals", "List, lift and post signals, freeze agents."),
    "rules": ("proxy.cli.rules", "Check rule files."),
    "log": ("proxy.cli.log", "Verify the decision log."),
    "demo": ("proxy.cli.demo.command", "The whole story on this machine, no keys needed."),
}


class _Lazy(click.Group):
    """A group that lists all commands and loads one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
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
