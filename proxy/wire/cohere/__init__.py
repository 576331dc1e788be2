"""Cohere's chat API, v1 and v2; `protocol.py` says which part reads what."""
