"""Two sets of rules held against each other: what became stricter, what looser, and what cannot be told from the rules alone.

What the words mean. Let the same calls come in under both sets, and let all of them pass and be counted. The new set is stricter
where no call is judged less strictly than the old set would, looser where none is judged more strictly. A change is
given one of these words only where it follows from the rules; anything else is `UNSURE`, and a replay of what was
recorded tells (`rules replay --against`).

What belongs here: one module a kind of rule, and two that compare their parts (`globs.py`, `conditions.py`). `comparing.py` puts
them together.
"""
