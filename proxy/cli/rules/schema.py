"""`checkrein rules schema`: the JSON Schema from which an editor completes and checks rule files.

What belongs here: reading the packs that came with checkrein for the kinds and names that an editor offers, printing
and writing. The schema itself is put together in `policy/editor_schema`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from proxy.errors import ConfigurationError
from proxy.model import Json
from proxy.policy.editor_schema.generate import as_text, rules_schema
from proxy.policy.packs import TABLES, Library
from proxy.policy.yamlnodes import read_yaml
from proxy.rehearsal.editor_schema import cases_schema
from proxy.settings import packs_directory


def rules_schema_text() -> str:
    """Returns the schema's file: what it offers are the packs that came with checkrein and their kinds of effects."""
    library = Library([packs_directory()])
    packs = library.names()
    paths = [library.path_of(name) for name in (*packs, *TABLES)]
    files = [read_yaml(path.name, path.read_text(encoding="utf-8")).value for path in paths]
    return as_text(rules_schema({kind for file in files for kind in _kinds(file)}, packs))


def _kinds(file: Json) -> Iterator[str]:
    """Yields the kinds that a file's entries have, or price."""
    for section in ("tools", "commands", "statements"):
        for entry in file.get(section, ()):
            yield from (effect["kind"] for effect in entry.get("effects", ()))
    priced = file.get("prices", {}).get("kinds", {})
    yield from (kind for kind in priced if "*" not in kind)


@click.command("schema")
@click.option(
    "--write",
    "target",
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it to a file instead.",
)
@click.option("--cases", is_flag=True, help="The schema of cases files.")
def command(*, target: Path | None, cases: bool) -> None:
    """Print the JSON Schema of rule files, for editors.

    A rule file names it in its first line: `# yaml-language-server: $schema=./checkrein.schema.json`.
    """
    text = as_text(cases_schema()) if cases else rules_schema_text()
    if target is None:
        click.echo(text, nl=False)
        return
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"rules schema: {target}: {error.strerror}") from error
    click.echo(f"wrote {target}", err=True)
