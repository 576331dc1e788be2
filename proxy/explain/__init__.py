"""Why a call was decided as it was: every condition with its values, every account, and what would have allowed it.

What belongs here: bringing a call to where it is judged (`scene.py`), judging it without a trace (`trial.py`), noting what
the rules were asked (`listening.py`), making findings of that (`looking.py`, `parts.py`), searching for what would have
allowed it (`ways.py`), and the words (`telling.py`, `objects.py`). Nothing is judged here: that is the pipeline's.
"""
