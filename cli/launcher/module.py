"""Run hawse for ``python -m hawse``; installed as hawse/__main__.py.

Nothing of hawse is imported here, because ``python -m`` puts the current directory and PYTHONPATH first on the path.
Instead, this process executes the interpreter again, as the script ``hawse`` does. Two cases cannot be prevented here:

- A ``hawse`` package in the current directory or on PYTHONPATH runs instead of this one. ``python -I -m hawse``
  prevents that.
- ``site`` imports a ``sitecustomize`` from PYTHONPATH before this file is read.
"""

import posix
import sys

if __name__ == "__main__":
    prefix = __file__.rsplit("/", 5)[0]
    boot = f"{prefix}/share/hawse/boot.py"
    posix.execv(sys.executable, [sys.executable, "-I", "-S", "-X", "utf8", boot, *sys.argv[1:]])
