"""Reading what a shell line really does, and what that means in effects.

`line` has the values, `words` turns a parsed word into text, `reading` walks the tree, `wrappers`
looks through `sudo`, `env`, `ssh` and their like, `decode` runs the few harmless programs whose
output can be known, `options`, `targets` and `secret_paths` say what a program's arguments are, and
`commands` maps all of it to effects as the `commands:` of rule files say.
"""
