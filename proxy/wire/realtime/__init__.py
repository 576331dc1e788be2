"""OpenAI's Realtime API over a WebSocket; `gate.py` says how its calls are held."""
