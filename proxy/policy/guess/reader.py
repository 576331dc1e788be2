"""The `guess:` entry of rule files: effects of a tool that no rule names.

What belongs here: name and arguments into effects, one for each place or person that the call is about, so
that whoever counts or compares targets sees each of them. A name that says nothing is `unknown`: it may
write. A reader's name with somebody to send to and something to send is not believed. What cannot be
looked at whole holds the call.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from proxy.model import Effect, Reason, Reversibility, Verdict
from proxy.policy.amounts import AmountFault, read_target
from proxy.policy.cel import Scope
from proxy.policy.effects import CompiledEffect, Produced
from proxy.policy.facts import Hints
from proxy.policy.guess.aim import Aim
from proxy.policy.guess.arguments import (
    MAX_TARGETS,
    PARTY,
    URL,
    Arguments,
    Target,
    read_arguments,
    targets_of,
)
from proxy.policy.guess.lexicon import EMPTY, Lexicon
from proxy.policy.guess.verbs import Named
from proxy.policy.site import Site

_MAX_TARGET_CHARS = 1000


@dataclass(slots=True)
class GuessReader:
    """`{guess: GLOB}`; the lexicon is the rule set's, so it is filled in when all files are read."""

    site: Site
    pack: str
    label: str
    lexicon: Lexicon = EMPTY
    _sources: dict[tuple[str, Reversibility], CompiledEffect] = field(default_factory=dict)

    def fill(self, lexicon: Lexicon) -> None:
        """Takes the tables of the rule set, and makes an effect for each kind they can come to."""
        self.lexicon = lexicon
        for act, kind in lexicon.kinds():
            undone = lexicon.reversibility(act)
            self._sources.setdefault((kind, undone), self._source(kind, undone))

    def _source(self, kind: str, undone: Reversibility) -> CompiledEffect:
        return CompiledEffect(
            rule=f"{self.pack}/{self.label}#{kind}",
            tool=self.label,
            kind=kind,
            amount=None,
            unit=None,
            target=None,
            reversibility=undone,
            points=None,
            labels=(),
            when=None,
            data=None,
            settle=None,
            file=self.site.file,
            line=self.site.line,
            site=self.site,
        )

    @property
    def effects(self) -> tuple[CompiledEffect, ...]:
        return tuple(self._sources.values())

    def trusts(self, tool: str) -> bool:
        """Tells whether what a tool brings is the operator's own, as far as its name says."""
        return self.lexicon.named(tool).trusted

    def produce(self, scope: Scope, reasons: list[Reason]) -> list[Produced]:
        """Returns the effects of a call."""
        lexicon = self.lexicon
        args = scope["args"]
        arguments = read_arguments(args, lexicon)
        server: str = scope["server"]
        hints = scope.facts.hints(server, scope["tool"]) if server and scope.facts else Hints()
        named = hinted(understood(lexicon, scope["tool"], arguments), hints)
        if named.act == "none":
            return []
        fetches = named.act == "read"
        found = targets_of(arguments.values, named.act, lexicon)
        if fetches:
            found = tuple(target for target in found if target.place == URL)
        if not arguments.whole or len(found) > MAX_TARGETS:
            text = "has more arguments or targets than can be looked at one by one"
            reasons.append(self._hold(text))
            found = found[:MAX_TARGETS]
        if fetches and not found:
            return []
        outbound = lexicon.outbound(named.act) or (
            not fetches
            and (
                hints.open_world is True
                or any(lexicon.carries_out(value.role) for value in arguments.values)
            )
        )
        act = "fetch" if fetches else named.act
        kind, undone = lexicon.kind(act, named.domain), lexicon.reversibility(act)
        source = self._sources[kind, undone]
        made: list[Produced] = []
        for target in found or (None,):
            effect = Effect(
                kind,
                undone,
                target=self._target(target, scope["tool"], reasons),
                points=source.price,
                rule=source.rule,
            )
            aim = Aim(
                named,
                target.text if target else "",
                target.place if target else None,
                found,
                fetches,
                outbound,
            )
            made.append(Produced(effect, source, True, args, aim))
        return made

    def _target(self, target: Target | None, tool: str, reasons: list[Reason]) -> str | None:
        try:
            return read_target(target.text[:_MAX_TARGET_CHARS] if target else tool)
        except AmountFault as error:
            reasons.append(self._hold(f"a target {error}"))
            return None

    def _hold(self, text: str) -> Reason:
        return Reason(
            f"{self.pack}/{self.label}",
            f"the call {text}",
            Verdict.HOLD,
            self.site.file,
            self.site.line,
        )


def hinted(named: Named, hints: Hints) -> Named:
    """Returns what a name says with what the tool's own server says of it, where that is stricter."""
    act = named.act
    if hints.read_only is False and act in ("read", "none"):
        act = "unknown"
    if hints.destructive is True and act in ("read", "none", "write", "unknown", "order"):
        act = "destroy"
    return named if act == named.act else replace(named, act=act)


def understood(lexicon: Lexicon, tool: str, arguments: Arguments) -> Named:
    """Returns what a name says, unless the arguments say that it is no reader."""
    named = lexicon.named(tool)
    if named.act not in ("read", "none"):
        return named
    places = {lexicon.place(value.role) for value in arguments.values}
    brings = any(lexicon.is_content(value.role) for value in arguments.values)
    if brings and PARTY in places:
        return replace(named, act="unknown", understood=False)
    return named
