"""Rules of other systems, read and written as rule files.

What belongs here: one module a source, which says in its docstring what it reads, what the source means by it, and where that is
described. How it works. A source is read into gates, commands and cases (`imported.py`), each with the place it comes from; what
cannot be said in rules is noted, with what stands in for it, which is never looser. `writing.py` makes a rule
file of it and a cases file that proves it: the cases' verdicts are the source's own answer, by its own meaning.
"""
