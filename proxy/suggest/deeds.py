"""What a tool that no rule names does, as far as its name, its arguments and its definition tell.

How it works. The name and the arguments are read as a `guess:` entry reads them (`proxy/policy/guess`), so a proposal never says less
than the guess would. A server's annotations and a description are a stranger's words: they make it stricter, or stand in a
comment as another reading, and never make it weaker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from proxy.model import Reversibility
from proxy.policy.facts import Hints
from proxy.policy.guess.arguments import PARTY, URL, Arguments, Value
from proxy.policy.guess.lexicon import Lexicon
from proxy.policy.guess.reader import hinted, understood
from proxy.policy.guess.verbs import Named
from proxy.policy.guess.words import found_in
from proxy.suggest.expressions import names_money, place_of
from proxy.suggest.fields import Fields

NOTHING = "effects: []"
_MONEY = {
    word: f"money.{word}"
    for word in ("refund", "payout", "transfer", "charge", "invoice", "credit")
}
_SECRETS = ("secret", "credential", "password", "passwd", "token", "vault", "apikey", "passphrase")
_CREDENTIALS = {
    "rotate": "credential.rotate",
    "revoke": "credential.revoke",
    "delete": "credential.revoke",
    "create": "credential.create",
    "issue": "credential.create",
}
_STRONG = frozenset(["send", "publish", "input", "pay", "order", "destroy", "grant", "exec"])
_DESCRIBED_CHARS = 120
_TEXTS = {"command": "shell", "cmd": "shell", "sql": "sql", "query": "sql"}


@dataclass(frozen=True, slots=True)
class Other:
    """Another reading: a kind, or `effects: []`."""

    entry: str
    why: str


@dataclass(frozen=True, slots=True)
class Deed:
    """What a tool does; `kind` None: nothing that counts."""

    act: str
    kind: str | None
    reversibility: Reversibility
    money: bool
    why: tuple[str, ...]
    others: tuple[Other, ...] = ()
    trusted: bool = False  # its name says that it brings the operator's own records


def deed_of(
    lexicon: Lexicon, name: str, fields: Fields, description: str = "", hints: Hints | None = None
) -> Deed:
    """Returns the strictest reading that the name and the arguments, or anything else, give cause for."""
    hints = hints or Hints()
    read = understood(lexicon, name, _arguments(lexicon, fields))
    why = [_said_by_name(lexicon, name, read)]
    others: list[Other] = []
    stricter = _by_arguments(lexicon, fields, read, why)
    described = _described(lexicon, description)
    if not stricter.understood and described is not None and described.act in _STRONG:
        why.append(f"its description says {_act(described)}")
        stricter = replace(described, words=(*read.words, *described.words), trusted=False)
    named = hinted(stricter, hints)
    if named.act != stricter.act:
        said = "destroys" if hints.destructive else "does not only read"
        why.append(f"its server says that it {said}")
        others.append(Other(_kind(lexicon, stricter)[0] or NOTHING, "if its server exaggerates"))
    kind, reversibility = _kind(lexicon, named)
    if named.act == "read":
        kind, reversibility = _of_reader(lexicon, fields, named, why)
    others += _others(lexicon, named, kind, hints, described)
    others += _by_text(fields, named)
    return Deed(
        named.act,
        kind,
        reversibility,
        (kind or "").startswith("money.") or kind == "order.place",
        tuple(why),
        tuple(_merged(others)),
        named.trusted,
    )


def _merged(others: Iterable[Other]) -> Iterator[Other]:
    """Yields each other reading once, with all that speaks for it."""
    made: dict[str, list[str]] = {}
    for other in others:
        made.setdefault(other.entry, []).append(other.why)
    for entry, whys in made.items():
        yield Other(entry, "; ".join(dict.fromkeys(whys)))


def _arguments(lexicon: Lexicon, fields: Fields) -> Arguments:
    """Returns one value an argument: what it is called is what counts, a value says more where it was seen."""
    return Arguments(
        tuple(Value(lexicon.role(one.path[-1]), next(iter(one.examples), "x")) for one in fields)
    )


def _act(named: Named) -> str:
    return named.act if named.act in ("none", "unknown") else f"{named.act} ({named.domain})"


def _said_by_name(lexicon: Lexicon, name: str, read: Named) -> str:
    plain = lexicon.named(name)
    if plain.act == "unknown":
        return "its name does not say what it does"
    if plain.act != read.act:
        return (
            f"its name says {_act(plain)}, but it takes somebody to send to and something to send"
        )
    return f"its name says {_act(read)}"


def _by_arguments(lexicon: Lexicon, fields: Fields, read: Named, why: list[str]) -> Named:
    """Reads more out of the arguments where the name says nothing."""
    if read.act != "unknown":
        return read
    if names_money(fields):
        why.append("its arguments say how much, and in what or to whom")
        return replace(read, act="pay", domain="money")
    roles = [lexicon.role(one.path[-1]) for one in fields]
    if any(lexicon.is_content(r) for r in roles) and any(lexicon.place(r) == PARTY for r in roles):
        why.append("its arguments are somebody to send to and something to send")
        return replace(read, act="send", domain="message")
    return read


def _described(lexicon: Lexicon, description: str) -> Named | None:
    """Returns what the first sentence of a description says, None where it says nothing."""
    sentence = description.strip().partition("\n")[0].partition(". ")[0][:_DESCRIBED_CHARS]
    named = lexicon.named(sentence) if sentence else None
    return named if named is not None and named.act != "unknown" else None


def _kind(lexicon: Lexicon, named: Named) -> tuple[str | None, Reversibility]:
    """Returns the kind of an act that is no reading, as finely as the name says it."""
    if named.act in ("read", "none"):
        return None, Reversibility.REVERSIBLE
    kind, undone = lexicon.kind(named.act, named.domain), lexicon.reversibility(named.act)
    if named.act == "pay":
        kind = next((k for word, k in _MONEY.items() if _has(named, word)), kind)
    elif any(_has(named, word) for word in (*_SECRETS, "key")) and named.act != "send":
        kind = next((k for word, k in _CREDENTIALS.items() if _has(named, word)), kind)
    elif named.act == "exec" and _has(named, "deploy"):
        kind = "deploy.production"
    return kind, undone


def _has(named: Named, word: str) -> bool:
    return any(found_in(w, (word,)) for w in named.words)


def _of_reader(
    lexicon: Lexicon, fields: Fields, named: Named, why: list[str]
) -> tuple[str | None, Reversibility]:
    """Returns the effect of looking: of secrets, and of what a URL names; else there is none."""
    if any(_has(named, word) for word in _SECRETS):
        why.append("what it reads may be a secret")
        return "data.read.secret", Reversibility.REVERSIBLE
    if any(place_of(one, "read", lexicon) == URL for one in fields):
        why.append("an argument names a site, and looking at it tells its owner")
        return lexicon.kind("fetch", named.domain), lexicon.reversibility("read")
    return None, Reversibility.REVERSIBLE


def _others(
    lexicon: Lexicon,
    named: Named,
    kind: str | None,
    hints: Hints,
    described: Named | None,
) -> list[Other]:
    made: list[Other] = []
    if described is not None and described.act != named.act:
        other = _kind(lexicon, described)[0] or NOTHING
        made.append(Other(other, "its description says so"))
    if kind is not None and hints.read_only is True:
        made.append(Other(NOTHING, "its server says that it only reads, which proves nothing"))
    if named.act == "unknown":
        made.append(Other("record.update", "if it changes records"))
        made.append(Other("message.external", "if it sends something to somebody"))
        made.append(Other(NOTHING, "if it only looks"))
    if kind is not None and kind in _MONEY.values():
        made.append(Other("money.payment", "if you count all payments together"))
    if kind == "message.external":
        made.append(Other("message.internal", "if it reaches colleagues alone"))
    if kind == "deploy.production":
        made.append(Other("deploy.preview", "if users do not meet it"))
    if kind is None and hints.open_world is True:
        made.append(Other("data.egress", "its server says that it speaks to the outside"))
    return [other for other in made if other.entry != (kind or NOTHING)]


def _by_text(fields: Fields, named: Named) -> list[Other]:
    """A shell line or a SQL text says more than any name; a reader of it is an entry of another form."""
    for one in fields:
        way = _TEXTS.get(one.path[-1].lower()) if len(one.path) == 1 else None
        is_sql = any(
            found_in(w, ("sql", "database", "db", "postgres", "mysql")) for w in named.words
        )
        if (way == "shell" and named.act == "exec") or (way == "sql" and is_sql):
            entry = (
                f"'{way}:' instead of 'name:', with 'argument: args.{one.path[-1]}' and no effects"
            )
            return [Other(entry, f"beside the pack {way}, which reads what the text does")]
    return []
