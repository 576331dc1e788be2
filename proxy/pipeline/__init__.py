"""Event in, decision out: what happens to a call, between the wire and the account.

`judge.py` decides calls, `results.py` settles what was reserved, `memory.py` keeps refused responses
until the next request needs them, `waiting.py` is where held calls wait for a human, `records.py` and
`texts.py` say it to the operator and to the agent. Nothing here knows mitmproxy or a wire format.
"""
