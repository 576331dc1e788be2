"""Ollama's own API: /api/chat and /api/generate; `protocol.py` says which part reads what."""
