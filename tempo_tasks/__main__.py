"""`python -m tempo_tasks ...` is the `tempo` command."""

from tempo_tasks.cli import main

main()
