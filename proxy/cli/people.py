"""`checkrein people`: the file that says who may answer."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.cli.admin import plain
from proxy.errors import ConfigurationError

_FILE = """version: 1
# url: https://desk.example:8081      # how people reach the inbox, where it is not this machine
people:
  - name: {name}
    password: "{password}"
    groups: [leads]
    # stands_for: [ada@corp.example]   # agents and humans whose requests are theirs: they approve none of them
    # may: [answer, freeze, undo]      # `rules` for who edits rules, and then answers nothing
"""


@click.group("people")
def command() -> None:
    """Who may answer holds: make and check the people file."""


@command.command("init")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", prompt=True, help="The first person.")
@click.password_option()
def init(*, file: Path, name: str, password: str) -> None:
    """Write a people file with one person in it, readable by you alone."""
    from proxy.people.people import hashed, load_people

    try:
        with file.open("x", encoding="utf-8") as made:
            file.chmod(0o600)
            made.write(_FILE.format(name=name, password=hashed(password)))
    except FileExistsError:
        raise ConfigurationError(
            f"{file}: there is such a file already; add to it instead"
        ) from None
    load_people(file)
    click.echo(f"wrote {file}; now: checkrein run --people {file} --inbox 127.0.0.1:8081")


@command.command("password")
@click.password_option()
def password(*, password: str) -> None:
    """Print what the file keeps of a password."""
    from proxy.people.people import hashed

    click.echo(hashed(password))


@command.command("token")
@click.argument("name")
def token(*, name: str) -> None:
    """Make an API token: it is shown once, and the line for the file."""
    from proxy.people.people import new_token

    made, digest = new_token()
    click.echo(f"token: {made}")
    click.echo(f"for the file, at {plain(name)}:  token: {digest}")
    click.echo("The token is shown this once. Its owner sets CHECKREIN_TOKEN to it.", err=True)


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--rules", type=click.Path(path_type=Path, exists=True), multiple=True)
def check(*, file: Path, rules: tuple[Path, ...]) -> None:
    """Check the file; with --rules also whether somebody can answer what they ask for."""
    from proxy.people.people import cannot_be_answered, load_people

    people = load_people(file)
    missing: list[str] = []
    if rules:
        from proxy.policy.ruleset import RuleSet

        approvals = RuleSet.load(rules).approvals
        asked = {a.name: (*a.by, *a.escalate_to) for a in approvals}
        missing = cannot_be_answered(people, asked)
    for name in missing:
        click.echo(f"{file}: approval '{name}': nobody here may answer what it asks for", err=True)
    if missing:
        raise SystemExit(1)
    click.echo(
        f"{file}: {len(people.people)} people, groups: {', '.join(sorted(people.groups)) or 'none'}"
    )


@command.command("list")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def list_(*, file: Path) -> None:
    """List the people, their groups and rights."""
    from proxy.people.people import load_people

    for person in load_people(file).people.values():
        how = [what for what in ("password", "token") if getattr(person, what)]
        click.echo(
            f"{person.name}  groups: {', '.join(person.groups) or 'none'}  may: "
            f"{', '.join(right.value for right in person.may)}  signs in by: {', '.join(how) or 'oidc'}"
        )
