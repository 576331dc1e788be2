"""The humans' side: the admin API on a unix socket, later the web inbox on a listener of its own."""
