"""SQL an agent hands to a tool: read as statements, turned into effects.

`reader` cuts a text into statements in every way a database may read it (`lexing`), reads each by
sqlglot (`tree`, `conditions`, `functions`) or, where sqlglot knows no shape, by its leading words
(`words`); `statement` is what comes out, `table` the `statements:` section of rule files.
"""
