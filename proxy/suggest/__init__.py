"""Rules proposed from a decision log: entries for tools that no rule names, budgets from what sessions came to.

How it works. `seen.py` reads the log, `deeds.py` and `expressions.py` say what each unknown tool does as far as its name, its
arguments and its definition tell, `measuring.py` plays the log under these entries with budgets that never end,
`choosing.py` makes limits of what they counted, and `proving.py` plays it again under the very file that is written. The
names and texts in a log are strangers': `yaml_text.py` is where they become text of a file.
"""
