"""Rules tried without traffic: cases files, recorded sessions, decision logs.

What belongs here: everything that drives the pipeline itself, with a throw-away ledger and a clock that
is set. Nothing of judging is written again: what a rehearsal answers is what the proxy would have.
"""
