"""The entry point of ``python -m cli`` and of the ``hawse`` script."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process and exit with the command's exit code."""
    from cli.app import App
    from cli.root import run
    from engine.runtime.revival import revive

    try:
        code = run(sys.argv[1:], App())
    finally:
        revive()
    sys.exit(code)


if __name__ == "__main__":
    main()
