"""Anthropic's Messages API; `protocol.py` says which part reads what."""
