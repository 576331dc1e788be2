"""OpenAI's Chat Completions API, and the many that speak it; `protocol.py` says which part reads what."""
