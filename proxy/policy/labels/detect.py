"""Labels what is in a text: secrets, personal data, instructions to the model.

What belongs here: the one call that asks every detector, and the bound on how much is looked at.
Sans-IO; the time is linear in the text. Text that no detector can look at is `unscanned`.
"""

from __future__ import annotations

from proxy.policy.labels.instructions import find_instructions
from proxy.policy.labels.personal import find_personal
from proxy.policy.labels.secrets import find_secrets
from proxy.policy.labels.span import MAX_CHARS, UNSCANNED, Scanned, Span, settled


def detect(text: str) -> tuple[Span, ...]:
    """Returns what is labelled in a text, in order of place.

    Args:
        text: a tool's result or another text, as it came; the first `MAX_CHARS` characters are
            looked at, the rest is one span `unscanned`.
    """
    if not text:
        return ()
    looked_at = text[:MAX_CHARS]
    scanned = Scanned(looked_at)
    spans = scanned.spans((*find_secrets(scanned), *find_personal(scanned)))
    spans.extend(find_instructions(looked_at))
    if len(text) > MAX_CHARS:
        spans.append(Span(UNSCANNED, MAX_CHARS, len(text)))
    return settled(spans, len(looked_at))
