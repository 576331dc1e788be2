"""What text says when it speaks to the model that reads it: features, and what each weighs.

What belongs here: how the table is put together. Each feature is a thing a passage does (it claims an
authority, it sets itself before the user's task, it forbids telling the user); its patterns are
ways to say it, matched against words as `passages.read` gives them. A feature counts once, however
often it is said. Directed features speak to the agent about its task; without one of them the
rest (urgency, duty, an order with an address) is how people write to people.

The patterns are written from how published attacks work (AgentDojo, InjecAgent, BIPIA, ASB, reports
on issues, pages and mails that steered agents), not from one recorded set.
"""

from __future__ import annotations

from proxy.policy.labels.feature import Feature
from proxy.policy.labels.phrases_manner import MANNER
from proxy.policy.labels.phrases_speakers import SPEAKERS
from proxy.policy.labels.phrases_task import TASK

THRESHOLD = 6

FEATURES: tuple[Feature, ...] = (*TASK, *SPEAKERS, *MANNER)

MENTIONS = (
    r"prompt[- ]injection|jailbreak|\battack(?:s|er|ers|ing|ed)?\b|\badversar|"
    r"\bmalicious|\bvulnerab|\bexploit|\bfor example\b|\be\.g\.|\bsuch as\b"
    r"|(?:^|[^.\w-])examples?\b|\bphrases? like\b|\bstrings? like\b|\btext like\b|\bpayload|"
    r"\bdetect|\bthreat|\bred[- ]team|\bresearch|\bpaper\b|\bmitigat|\bowasp\b|"
    r"\bsanitiz|\bclassif"
)
"""Words of text *about* such phrases; a quoted phrase near one of them is a quotation."""
