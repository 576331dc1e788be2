"""`checkrein holds watch`: the desk in a terminal, a live list of what waits, answered with keys.

How it works. `keys` turns bytes into keys, `messenger` carries commands to the proxy in a thread; both come to `command`, whose loop
gives them to `state`, a function over values, and draws what comes out with `rendering`.
"""
