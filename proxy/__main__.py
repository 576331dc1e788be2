"""`python -m proxy` is the command `checkrein`."""

from proxy.cli import main

main()
