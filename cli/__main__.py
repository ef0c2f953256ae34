"""``python -m cli``: run a command in this process, without the launcher (`cli.launcher.launch`). The tests use it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process and exit with the command's exit code."""
    from cli.root import run_and_revive

    sys.exit(run_and_revive(sys.argv[1:]))


if __name__ == "__main__":
    main()
