"""`checkrein rules import`: rules of other systems as a rule file, with cases that hold it against them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.admin import echo_json, plain
from proxy.errors import ConfigurationError

if TYPE_CHECKING:
    from proxy.importers.imported import Imported
    from proxy.policy.yamlnodes import Document

_SOURCES = ("litellm", "claude-code", "mcp")


@click.command("import")
@click.argument("source", type=click.Choice(_SOURCES))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", help="The pack's name (default: imported-SOURCE).")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("rules"),
    show_default=True,
    help="The folder for the two files.",
)
@click.option("--project", help="Claude Code: the folder the agent works in, from the root.")
@click.option("--home", help="Claude Code: the agent's home folder, from the root.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--json", "as_json", is_flag=True, help="The report as one object.")
def command(
    *,
    source: str,
    file: Path,
    name: str | None,
    to: Path,
    project: str | None,
    home: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Read rules of another system: LiteLLM's tool_permission, Claude Code's permissions, or an MCP allow list.

    Writes NAME.yaml and NAME.cases.yaml; the cases are the source's own answers. What rules do not say as the source does
    is reported with what stands in for it, which is never looser. Exit code 1 where there is such a thing.
    """
    from proxy.importers import writing
    from proxy.policy.yamlnodes import read_yaml

    for option, value in (("--project", project), ("--home", home)):
        if value is not None and (source != "claude-code" or not value.startswith("/")):
            raise ConfigurationError(f"{option} is a folder from the root, for claude-code")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigurationError(f"{file}: cannot be read: {what}") from error
    document = read_yaml(str(file), text)  # which reads JSON as well, and no key twice
    if document.problems:
        raise ConfigurationError("\n".join(map(str, document.problems)))
    imported = _read(source, document, project, home)
    pack = name or f"imported-{source}"
    if not pack or Path(pack).name != pack or pack.startswith("."):
        raise ConfigurationError(f"--name {pack!r} is no name for a file")
    paths = (to / f"{pack}.yaml", to / f"{pack}.cases.yaml")
    _write(
        paths,
        (writing.rule_file(imported, pack, str(file)), writing.cases_file(imported)),
        force=force,
    )
    if as_json:
        echo_json(
            {
                "rules": str(paths[0]),
                "cases": str(paths[1]),
                "taken": imported.taken,
                "notes": [
                    {"place": note.place, "what": note.what, "instead": note.instead}
                    for note in imported.notes
                ],
            }
        )
    else:
        for line in _told(imported, paths):
            click.echo(plain(line))
    raise SystemExit(int(bool(imported.notes)))


def _read(source: str, document: Document, project: str | None, home: str | None) -> Imported:
    if source == "litellm":
        from proxy.importers.litellm import read_litellm

        return read_litellm(document)
    if source == "mcp":
        from proxy.importers.mcp_lists import read_mcp

        return read_mcp(document)
    from proxy.importers.claude_code import read_claude_code
    from proxy.importers.claude_paths import Folders

    return read_claude_code(document, Folders(project, home))


def _write(paths: tuple[Path, Path], texts: tuple[str, str], *, force: bool) -> None:
    there = [path for path in paths if path.exists()]
    if there and not force:
        raise ConfigurationError(
            f"{there[0]} is there already; --force overwrites it, --name takes another"
        )
    try:
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{paths[0].parent}: cannot be written: {error.strerror}"
        ) from error


def _told(imported: Imported, paths: tuple[Path, Path]) -> list[str]:
    lines = [f"wrote {path}" for path in paths]
    lines.append(f"{imported.taken} taken over, {len(imported.notes)} not as the source says it")
    for note in imported.notes:
        lines.append(f"  {note.place}: {note.what}")
        lines.append(f"      instead: {note.instead}")
    lines += ["", f"checkrein rules check {paths[0]}", f"checkrein rules test {paths[0]}"]
    return lines
