"""The rules: files in, effects, charges and reasons out. `ruleset.RuleSet` is the door."""
