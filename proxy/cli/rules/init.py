"""`checkrein rules init`: a pack to edit, with its cases; or a file that starts from one."""

from __future__ import annotations

import re
from pathlib import Path

import click

from proxy.cli.admin import plain
from proxy.errors import ConfigurationError
from proxy.policy.packs import CASES, Library
from proxy.policy.yamlnodes import Document, read_yaml
from proxy.settings import packs_directory

_SCHEMA = "checkrein.schema.json"
_SCHEMAS = (_SCHEMA, "checkrein-cases.schema.json")
"""What editors complete rules and cases from; their first lines name them."""


@click.command("init")
@click.argument("pack", required=False)
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="rules",
    show_default=True,
    help="The folder to write to.",
)
@click.option("--extend", is_flag=True, help="Write a short file that extends the pack.")
@click.option("--name", help="The new file's name (default: the pack's).")
@click.option("--force", is_flag=True, help="Write over files that are there.")
def command(*, pack: str | None, folder: Path, extend: bool, name: str | None, force: bool) -> None:
    """Copy a pack with its cases to edit; without PACK, list the packs.

    With --extend the new file only names the pack and the values that it may change, so that a newer checkrein
    brings a newer pack.
    """
    library = Library()
    if pack is None:
        for line in _listed(library):
            click.echo(plain(line))
        return
    try:
        path = library.path_of(pack)
    except LookupError as error:
        raise ConfigurationError(f"rules init: {error}") from error
    text = path.read_text(encoding="utf-8")
    target = folder / f"{name or path.stem}.yaml"
    if extend:
        text = _starter(read_yaml(str(path), text), path.stem, name or path.stem)
    files = {target: text}
    cases = path.with_name(path.stem + CASES)
    if cases.is_file():
        text = cases.read_text(encoding="utf-8")
        text = re.sub(rf"(?m)^(rules:.*)\b{re.escape(path.name)}", rf"\g<1>{target.name}", text)
        files[target.with_name(target.stem + CASES)] = text
    for beside in (packs_directory() / schema for schema in _SCHEMAS):
        files[folder / beside.name] = beside.read_text(encoding="utf-8")
    _write(files, force=force)
    click.echo(f"\ncheckrein rules check {target}\ncheckrein rules test {target}")
    click.echo(f"checkrein run --rules {target}")


def _write(files: dict[Path, str], *, force: bool) -> None:
    there = [path for path in files if path.exists() and path.name not in _SCHEMAS]
    if there and not force:
        raise ConfigurationError(
            f"rules init: {there[0]} is there already; name another one with --name, or write over it with --force"
        )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(f"wrote {path}")


def _listed(library: Library) -> list[str]:
    names = sorted(library.names())
    width = max(map(len, names))
    return [f"{name:{width}}  {_about(library.path_of(name))}" for name in names]


def _about(path: Path) -> str:
    """Returns the first sentence of a file's first comment."""
    said: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# yaml-language-server"):
            continue
        if not line.startswith("# "):
            break
        said.append(line[2:].strip())
    return " ".join(said).partition(". ")[0].rstrip(".")


def _starter(document: Document, pack: str, name: str) -> str:
    """Returns a file that extends a pack; its values stand there as comments."""
    stated = document.value.get("vars") if isinstance(document.value, dict) else None
    lines = [
        f"# yaml-language-server: $schema=./{_SCHEMA}",
        f"# Starts from the pack {pack} and changes what is stated here: an entry with the name of one of the pack's",
        "# states only the keys that are other, `off: true` takes it away, an entry with a name of its own is one more.",
        "version: 1",
        f"pack: {name}",
        f"extends: {pack}",
    ]
    if isinstance(stated, dict) and stated:
        lines += [
            "",
            "# The pack's values. Take the '#' away before those that you change.",
            "# vars:",
        ]
        # As the pack has them, with its comments.
        for key in stated:
            line = document.lines[document.keys["vars", key].start_mark.line]
            lines.append(f"# {line}")
    return "\n".join(lines) + "\n"
