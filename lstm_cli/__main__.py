"""`python -m lstm_cli`: the command line without its entry point."""

from lstm_cli.cli import main

main()
