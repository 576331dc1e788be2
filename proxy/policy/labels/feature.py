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
