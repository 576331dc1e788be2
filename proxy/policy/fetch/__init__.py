"""HTTP requests an agent makes by a generic tool: where they go and whether data leaves by them.

`hosts` gives a host its one spelling, as browsers do; `request` reads the arguments of such a tool;
`reader` is the `fetch:` entry of rule files and the `req.*` variables.
"""
