"""OpenAI's Responses API; `protocol.py` says which part reads what."""
