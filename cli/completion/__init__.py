"""Tab completion: the words offered at each position of a hawse command line, and the completion scripts of the shells.

The scripts are generated from the command tree and contain every fixed word. The TAB key therefore rarely starts a
Python process. The names of networks, containers and images come from ``hawse __complete``, which reads the local store
(this host's SQLite file). The committed files in ``completions/`` are the output of ``hawse completion SHELL``.

A completion source (`sources.py`) is the set of words that may complete a flag's value or an argument.
"""
