"""What an editor knows of rule files: the JSON Schema that completion, hover texts and underlines come from.

What belongs here: every key of the language with its shape, default, meaning and an example (`keys_….py`), the shapes
of values (`shapes.py`) and putting both together (`generate.py`). The models in `policy/schema.py` decide what a
file may be; a schema can only say a part of that. It is never stricter than the loader, and tests hold the two
against each other key by key.
"""
