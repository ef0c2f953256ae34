"""Run hawse for ``python -m hawse``; this file is installed as hawse/__main__.py.

``python -m`` puts the current directory and PYTHONPATH first on the import path. An import of hawse's packages could
therefore load other packages with the same names. This file imports none of them. Instead, it executes the interpreter
again with the options -I and -S, which the script ``hawse`` also uses. This file cannot prevent two problems:

- A ``hawse`` package in the current directory or on PYTHONPATH runs instead of this package. A user can prevent this
  with ``python -I -m hawse``.
- ``site`` imports a ``sitecustomize`` from PYTHONPATH before Python reads this file.
"""

import posix
import sys

if __name__ == "__main__":
    prefix = __file__.rsplit("/", 5)[0]
    boot = f"{prefix}/share/hawse/boot.py"
    posix.execv(sys.executable, [sys.executable, "-I", "-S", "-X", "utf8", boot, *sys.argv[1:]])
