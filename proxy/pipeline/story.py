"""What a family of sessions has met: written down as it happens, asked when a call is judged.

How it works. Three things are noted, each in the transaction of what it belongs to: a call that is let
through (its effects, targets, chains), a result that is observed (labels, fingerprints, evidence) and what
user and system say. `StoryFacts` answers the rules' questions from the same rows. Text is fingerprinted and
searched for data classes before the transaction, because that is the slow part (`reading.py`).

What a sub-agent is told counts as nobody's word: its "user" is another model. Where a value came from is
then found in the results that the family has seen. Some clients run sub-agents under their own session's
name; their prompt was the argument of a call before (`told.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from proxy.canonical import sha256_hex
from proxy.ledger.store import (
    ChainPosition,
    EvidenceRow,
    Released,
    StoryDocument,
    Transaction,
)
from proxy.model import (
    Call,
    Identity,
    Json,
    Origin,
    Side,
    Source,
    Speaker,
    ToolResult,
    Trust,
    derived_id,
)
from proxy.pipeline.asked import Notes, target_name
from proxy.pipeline.masking import masked
from proxy.pipeline.reading import Reader, ReadText
from proxy.pipeline.shadow import ShadowFacts, enforced_sources
from proxy.pipeline.told import MOST_CALLS, told_in, without_told
from proxy.policy.chains import UNREAD
from proxy.policy.facts import FORGOTTEN, NOTHING_IN_FORCE, Evidence, Hints, InForce, Position, Seen
from proxy.policy.modes import known_in_shadow
from proxy.policy.origins.origin import origin_of
from proxy.policy.origins.prints import MAX_TEXT_CHARS, Printer
from proxy.policy.origins.trail import Trail
from proxy.policy.ruleset import Assessment, RuleSet
from proxy.policy.strictjson import json_or_none
from proxy.redact import redact_text

SECRET = "secret"  # noqa: S105 - a label
_MOST_NAMES = 256
_USER_CHARS = 16_384
_MESSAGES = 512
_EVIDENCE_CHARS = 65_536
MOST_PRINTS = 200_000
"""How many fingerprints a family may keep: about 10 MB on disk; the oldest sources make room."""


class StoryFacts:
    """The past of one family, as the rules ask for it while a call is judged."""

    def __init__(
        self,
        tx: Transaction,
        identity: Identity,
        family: str,
        printer: Printer,
        now_ms: int,
        in_force: InForce = NOTHING_IN_FORCE,
        in_shadow: InForce = NOTHING_IN_FORCE,
    ) -> None:
        self.family = family
        self.call_key = ""
        self.besides: str | None = None
        self.now_ms = now_ms
        self.notes = Notes()
        self.in_force = in_force
        self.in_shadow = in_shadow
        self._tx = tx
        self._identity = identity
        self._printer = printer
        self.trail: Trail | None = None  # after this call, where it sends something
        self._story: StoryDocument | None = None
        self._seen: Seen | None = None
        self._origins: dict[str, Origin] = {}

    @property
    def document(self) -> StoryDocument:
        if self._story is None:
            self._story = self._tx.story(self.family)
        return self._story

    @property
    def seen(self) -> Seen:
        if self._seen is None:  # chains ask it at every step
            story = self.document
            self._seen = Seen(
                kinds=tuple(kind for kind in story.kinds if not known_in_shadow(kind)),
                tools=tuple(story.tools),
                labels=tuple(story.labels),
                untrusted=story.untrusted_ms > 0,
                user_text=self._tx.words(self.family).text,
                calls=story.calls,
            )
            self.notes.add("labels", dict(story.labels))
            self.notes.add("untrusted", self._seen.untrusted)
        return self._seen

    def with_shadow(self) -> ShadowFacts:
        return ShadowFacts(self)

    def origin(self, value: Json) -> Origin:
        found = self.whole_origin(value)
        sources = enforced_sources(found.sources)
        return found if sources is found.sources else replace(found, sources=sources)

    def whole_origin(self, value: Json) -> Origin:
        """Returns the same with what only files in shadow know of its sources."""
        name = repr(value)
        if name not in self._origins:
            lookup = self._printer.of_value(value, dense=self._met_secrets())
            found = self._tx.sources_by_print(self.family, lookup.prints)
            origin = origin_of(lookup, found)
            if lookup.truncated and self._met_secrets():
                origin = replace(origin, labels=(*origin.labels, UNREAD))
            self._origins[name] = origin
        self.notes.origin(value, self._origins[name])
        return self._origins[name]

    def trailing(self, tool: str, data: Json) -> Sequence[Source]:
        return enforced_sources(tuple(self.whole_trailing(tool, data)))

    def whole_trailing(self, tool: str, data: Json) -> Sequence[Source]:
        if not self._met_secrets():
            return ()
        trail, lookup = Trail.read(self.document.trail).follow(tool, data, self._printer)
        found = self._tx.sources_by_print(self.family, lookup.prints)
        sources = [
            source
            for source in origin_of(lookup, found).sources
            if any(label.startswith(SECRET) for label in source.labels)
        ]
        self.trail = trail.after_match() if sources else trail
        self.notes.trailing(data, sources)
        return sources

    def shown(self, arguments: Json) -> Json:
        """Returns a call's arguments as they may be written down: without secrets that were met."""
        if not self._met_secrets():
            return arguments
        with self.notes.paused():
            return masked(arguments, self)

    def _met_secrets(self) -> bool:
        return any(label.startswith(SECRET) for label in self.document.labels)

    def is_new(self, kind: str, target: str) -> bool:
        return not self._tx.knows_target(self._identity.agent, kind, target)

    def positions(self, chain: str, *, per: str, key: str) -> Sequence[Position]:
        stored = self._tx.chain_positions(chain, self.scope(per), key)
        return [Position(p.index, p.started_ms, p.at_ms, p.via, p.by) for p in stored]

    def checkpoint_ms(self, *, per: str) -> int:
        return self._tx.checkpoint_ms(self.scope(per))

    def result_of_ms(self, kind: str) -> int:
        at_ms = self.document.results.get(kind, 0)
        if at_ms:
            self.notes.add(f"result:{kind}", at_ms)
        return at_ms

    def label_ms(self, label: str) -> int:
        return self.document.labels.get(label, 0)

    def evidence(self, kinds: Sequence[str], target: str | None) -> Evidence | None:
        rows = [self._tx.evidence(self.family, kind, target) for kind in kinds]
        found = max((row for row in rows if row is not None), key=_when, default=None)
        self.notes.add(evidence_question(kinds, target), None if found is None else _noted(found))
        if found is None:
            return None
        return Evidence(
            found.kind,
            target,
            found.tool,
            found.side,
            found.is_error,
            found.text,
            json_or_none(found.text),
            found.at_ms,
        )

    def hints(self, server: str, tool: str) -> Hints:
        pinned = self._tx.tool_pins(server).get(tool)
        document = json_or_none(pinned[1].decode("utf-8", "replace")) if pinned else None
        said = document.get("annotations") if isinstance(document, dict) else None
        if not isinstance(said, dict):
            return Hints()
        stated = (said.get(f"{name}Hint") for name in ("readOnly", "destructive", "openWorld"))
        words = [word if isinstance(word, bool) else None for word in stated]
        self.notes.add(redact_text(f"hints:{server}/{tool}"), list(words))
        return Hints(*words)

    def told(self, question: str, answer: Callable[[], Json]) -> Json:
        found = answer()
        self.notes.add(question, found)
        return found

    def reads_unlogged(self, text: str) -> None:
        return None

    def scope(self, per: str) -> str:
        """Returns the key of who a chain or a checkpoint belongs to."""
        return f"agent:{self._identity.agent}" if per == "agent" else f"session:{self.family}"


def _when(row: EvidenceRow) -> int:
    return row.at_ms


def evidence_question(kinds: Sequence[str], target: str | None) -> str:
    """Returns the name under which a decision's record has which evidence there was."""
    return f"evidence:{'|'.join(sorted(kinds))}:{target_name(target)}"


def _noted(row: EvidenceRow) -> dict[str, Json]:
    """A piece of evidence without what it said."""
    return {
        "kind": row.kind,
        "tool": row.tool,
        "side": row.side.value,
        "is_error": row.is_error,
        "at_ms": row.at_ms,
    }


class Story:
    """Writes down what happens; one a pipeline."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def facts(
        self,
        tx: Transaction,
        identity: Identity,
        now_ms: int,
        in_force: InForce = NOTHING_IN_FORCE,
    ) -> StoryFacts:
        """Opens a family's past for one call; `identity` knows the sessions above it."""
        family = (identity.session, *identity.ancestors)[-1]
        return StoryFacts(tx, identity, family, self._reader.printer, now_ms, in_force)

    def released(
        self,
        tx: Transaction,
        facts: StoryFacts,
        call: Call,
        identity: Identity,
        key: str,
        assessment: Assessment,
    ) -> None:
        """A call is let through: what it does is part of the story from now on."""
        now_ms = facts.now_ms
        charged = (*assessment.effects, *assessment.shadowed)
        effects = tuple((c.effect.kind, c.effect.target) for c in charged)
        if not assessment.known_in_shadow:
            tx.note_released(
                Released(
                    call_key=key,
                    family=facts.family,
                    session=identity.session,
                    agent=identity.agent,
                    call_id=call.id or derived_id(call.name, call.args_sha256),
                    args_sha256=call.args_sha256,
                    tool=call.name,
                    side=call.side,
                    effects=effects,
                    at_ms=now_ms,
                )
            )
        for kind, target in effects:
            if target is not None:
                tx.note_target(identity.agent, kind, target, now_ms)
        for advance in assessment.advances:
            positions = [
                ChainPosition(p.index, p.started_ms, p.at_ms, p.via, p.by)
                for p in advance.positions
            ]
            scope = facts.scope(advance.per)
            tx.put_chain_positions(advance.chain, scope, advance.key, positions)
        story = facts.document
        if not assessment.known_in_shadow:  # without the files in shadow it is no call
            story.calls += 1
        if facts.trail is not None:
            story.trail = facts.trail.write()
        if call.side is Side.MODEL:
            told = told_in(call.arguments)
            tx.note_told(facts.family, told, story.calls, most=MOST_CALLS)
        for kind, _ in effects:
            _note(story.kinds, kind, now_ms)
        tx.put_story(facts.family, story)

    def observed(
        self,
        tx: Transaction,
        rules: RuleSet,
        family: str,
        released: Released | None,
        result: ToolResult,
        read: ReadText,
        now_ms: int,
    ) -> bool:
        """A result has come: its labels, where its values are from now on known to come from, evidence.

        False where it had come before.
        """
        tool = released.tool if released is not None else result.name or "unknown"
        digest = sha256_hex(
            f"{released.call_key if released else result.call_id}\0{read.digest}".encode()
        )
        if tx.has_source(family, digest):
            return False
        effects = released.effects if released is not None else ()
        worth = rules.worth_of(tool, result.text)
        kinds = tuple(dict.fromkeys(kind for kind, _ in effects))
        enforced = tuple(kind for kind in kinds if not known_in_shadow(kind))
        told = (*worth.labels, *read.labels, *(span.label for span in worth.spans))
        if _brings_secrets(enforced, ()) and not any(map(_is_secret, told)) and not result.is_error:
            # The rules say that this call reads a secret, and nothing says which part of it that is.
            worth = replace(worth, labels=(*worth.labels, SECRET))
        base = Source(
            Speaker.RESULT,
            tool=tool,
            call_key=released.call_key if released is not None else None,
            kinds=kinds,
            trusted=worth.trusted,
            labels=worth.labels,
            at_ms=now_ms,
        )
        read = self._reader.with_declared(read, result.text, worth)
        self._keep(tx, family, base, read, digest)
        story = tx.story(family)
        _note(story.tools, tool, now_ms)
        cut = len(result.text) > MAX_TEXT_CHARS and _brings_secrets(enforced, worth.labels)
        forgotten = (FORGOTTEN,) if tx.has_forgotten_secrets(family) or cut else ()
        for label in (*worth.labels, *read.labels, *forgotten):
            _note(story.labels, label, now_ms)
        if not worth.trusted or any(not stretch.trusted for stretch in worth.stretches):
            story.untrusted_ms = now_ms
        for kind in kinds:  # one that is marked as failed may bear what it read all the same
            _note(story.results, kind, now_ms)
        tx.put_story(family, story)
        if released is None:
            return True
        for kind, target in effects:
            if rules.is_evidence(kind):
                row = EvidenceRow(
                    kind,
                    target or "",
                    released.call_key,
                    tool,
                    released.side,
                    result.is_error,
                    result.text[:_EVIDENCE_CHARS],
                    released.at_ms,
                    now_ms,
                )
                tx.put_evidence(family, row)
        return True

    def said(
        self,
        tx: Transaction,
        identity: Identity,
        texts: Sequence[tuple[Speaker, str, ReadText]],
        now_ms: int,
    ) -> None:
        """User and system have said something; in a sub-session both are another model's words."""
        family = tx.family_of(identity.session, identity.parent)
        if family != identity.session:
            return
        if identity.session_trust is not Trust.CREDENTIAL and tx.is_run(family):
            return  # who only names a run in a header does not speak for its user
        before = words = tx.words(family)
        for speaker, text, read in texts:
            if read.digest in words.seen:
                continue
            words = replace(words, seen=(*words.seen, read.digest)[-_MESSAGES:])
            if speaker is Speaker.USER:
                own = without_told(text, partial(tx.told_among, family))
                if own != text:
                    text, read = own, self._reader.read_now(own, speaker)
                shown = redact_text(text[:_USER_CHARS]).lower()
                words = replace(words, text=f"{words.text}\n{shown}".strip()[-_USER_CHARS:])
            self._keep(tx, family, Source(speaker, trusted=True, at_ms=now_ms), read, read.digest)
        if words != before:
            tx.put_words(family, words)

    def _keep(
        self, tx: Transaction, family: str, base: Source, read: ReadText, digest: str
    ) -> None:
        tx.add_source(family, base, read.prints, digest=digest, most_prints=MOST_PRINTS)
        if base.speaker is not Speaker.RESULT:
            return
        for at, (labels, trusted, prints) in enumerate(read.spans):
            source = Source(
                base.speaker,
                base.tool,
                base.call_key,
                base.kinds,
                trusted if not labels else base.trusted and trusted,
                tuple(dict.fromkeys((*base.labels, *labels))),
                base.at_ms,
            )
            name = f"{digest}:{at}"
            tx.add_source(family, source, prints, digest=name, most_prints=MOST_PRINTS)


def _is_secret(label: str) -> bool:
    return label.startswith(SECRET)


def _brings_secrets(kinds: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether the rules say that all of a result is secret."""
    return any(SECRET in kind.split(".") for kind in kinds) or any(map(_is_secret, labels))


def _note(times: dict[str, int], name: str, now_ms: int) -> None:
    """Notes when a name was last met; the one met longest ago makes room."""
    if name not in times and len(times) >= _MOST_NAMES:
        del times[min(times, key=times.__getitem__)]
    times[name] = now_ms
