"""What is suspicious in rules that load: one file a family of warnings, `warnings.py` asks them all."""
