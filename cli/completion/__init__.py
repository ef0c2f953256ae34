"""Tab completion: the possible words at each place of a hawse command line, and the scripts for the shells.

The scripts are generated from the command tree and contain every fixed word, so that most TABs start no Python. Names
of networks, containers and images come from ``hawse __complete``. The committed files in ``completions/`` are the
output of ``hawse completion SHELL``.
"""
