"""Run hawse for ``python -m hawse``; installed as hawse/__main__.py.

``python -m`` puts the current directory and PYTHONPATH first on the path, so nothing of hawse is imported here. This
process executes the interpreter again as the script ``hawse`` does. Two things stay with the interpreter: a ``hawse``
package in the current directory or on PYTHONPATH runs instead of this one (``python -I -m hawse`` prevents that), and
``site`` imports a ``sitecustomize`` from PYTHONPATH before this file is read.
"""

import posix
import sys

if __name__ == "__main__":
    prefix = __file__.rsplit("/", 5)[0]
    boot = f"{prefix}/share/hawse/boot.py"
    posix.execv(sys.executable, [sys.executable, "-I", "-S", "-X", "utf8", boot, *sys.argv[1:]])
