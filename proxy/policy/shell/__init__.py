"""Reading what a shell line really does, and what that means in effects.

`line` has the values. `words` and `braces` turn a node of the syntax tree into words; `reading` walks
the tree, `gaps` tells where it may be wrong; `running` says what a command's words mean, looking
through programs that run others (`inner`, `wrappers`, `elsewhere`, `hooks`, `shells`, `interpreters`)
and through text spelled in disguise (`decode`). `options`, `targets`, `network` and `secret_paths` say
what a program's arguments are. `variables` shows it to rules, and `commands` maps it to effects.
"""
