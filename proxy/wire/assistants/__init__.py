"""OpenAI's Assistants API: runs that ask for tool outputs; `protocol.py` says which part reads what."""
