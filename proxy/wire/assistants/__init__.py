"""OpenAI's Assistants API: runs that ask for tool outputs, and stored conversations; `protocol.py` says which part reads what."""
