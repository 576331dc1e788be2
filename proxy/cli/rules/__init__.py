"""`checkrein rules`: everything about rule files, one file a command."""

from __future__ import annotations

import click

from proxy.cli.lazy import LazyGroup

_COMMANDS = {
    "init": ("proxy.cli.rules.init", "Copy a pack to edit, or start from one."),
    "import": ("proxy.cli.rules.importing", "Read rules of another system."),
    "check": ("proxy.cli.rules.check", "Check rule files."),
    "test": ("proxy.cli.rules.test", "Run cases files."),
    "schema": ("proxy.cli.rules.schema", "Print the JSON Schema of rule files, for editors."),
    "diff": ("proxy.cli.rules.diff", "Say what became stricter, and what looser."),
    "report": ("proxy.cli.rules.shadow_report", "Report what rules in shadow would have done."),
    "explain": ("proxy.cli.rules.explain", "Explain why a call is decided as it is."),
    "status": ("proxy.cli.rules.status", "Show the rules of a running proxy."),
    "reload": ("proxy.cli.rules.reload", "Have a running proxy look at its rule files now."),
    "replay": ("proxy.cli.rules.replay", "Judge recorded sessions again."),
    "suggest": ("proxy.cli.rules.suggest", "Propose rules from a decision log."),
}


@click.group("rules", cls=LazyGroup, lazy=_COMMANDS)
def command() -> None:
    """Check, test, explain, replay and suggest rules."""
