"""``python -m cli.gotemplate KIND TEMPLATE < DOCUMENT``: print what ``docker KIND inspect -f TEMPLATE`` prints.

Programs outside this repository compare hawse's templates with Docker's by this command. `cli.output.__main__` has the
code, because it needs the types of Docker's documents, and this package must not import `cli.output`.
"""

from __future__ import annotations

import runpy

runpy.run_module("cli.output", run_name="__main__")
