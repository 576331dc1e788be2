"""A feature of text that speaks to the model, and the words the features share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing a passage does, its weight, and ways to say it."""

    name: str
    weight: int
    patterns: tuple[str, ...]
    directed: bool = False


# Words that mean a model and nobody else; "agent" and "assistant" alone may be people.
MODEL = (
    r"(?:ai|a\.i\.|llms?|(?:large )?language models?|ai (?:language )?models?|"
    r"(?:ai|virtual|automated|digital|autonomous|coding|language model) "
    r"(?:coding |language )?(?:assistants?|agents?|bots?|systems?)|chat ?bots?|"
    r"gpt(?:-?[0-9][\w.-]*)?|"
    r"chatgpt|claude|gemini|copilot|llama|mistral|bard|codex|deepseek|qwen|grok)"
)
AGENT = r"(?:assistants?|agents?|bots?)"

# What an order tells somebody to do.
VERBS = (
    "send|transfer|e-?mail|forward|delete|upload|post|pay|wire|buy|purchase|order|"
    "download|install|run|execute"
    "|visit|open|click|share|invite|grant|give|create|change|update|reset|remove|"
    "publish|reply|call|invoke|use"
    "|fetch|make|add|book|reserve|schedule|set|write|submit|push|merge|commit|clone|"
    "curl|wget|copy|move|read"
    "|withdraw|refund|cancel|approve|accept|sign|register|enter|provide|go to|navigate|"
    "search|access|message|tell"
    "|notify|ask|contact|append|insert|store|save|append|disable|enable|revoke|export|"
    "star|follow|subscribe|review|pass|paste|attach|reveal|"
    "activate|recommend|modify|edit|rename|replace|concatenate|gather|redirect|rent|hire|deploy"
)
MORE_VERBS = (
    r"collect|combine|retrieve|find|get|list|put|turn|switch|block|ban|promote|report|upgrade|"
    r"mark|swap|exchange|return|print|output|summari[sz]e|encode|stop|say|respond|answer|look|"
    r"check|show|load|log|sell|trade|rate|lock|unlock|extract|scan|kill|restart|rotate|follow"
)
