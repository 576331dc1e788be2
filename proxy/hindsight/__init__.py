"""What enforcing would have done: a decision log of rules in shadow, added up.

`records.py` reads decisions out of log files, one at a time; `tally.py` counts them; `telling.py` has the words.
Nothing is judged again here (that is `rehearsal/`): what is counted is what the log says.
"""
