"""Mistral's API, where it differs from Chat Completions; `protocol.py` says which part reads what."""
