"""Google's Interactions API; `protocol.py` says which part reads what."""
