"""Tab completion: what may stand where on a hawse command line, and the scripts that tell a shell.

The scripts are made from the command tree and hold every fixed word, so that most TABs start no Python; names of
networks, containers and images come from ``hawse __complete``. The committed files in ``completions/`` are what
``hawse completion SHELL`` prints.
"""
