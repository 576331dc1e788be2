"""The web inbox: where people see what waits and answer it, on a listener of its own."""
