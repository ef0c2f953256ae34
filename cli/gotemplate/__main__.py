"""``python -m cli.gotemplate KIND TEMPLATE < DOCUMENT``: print what ``docker KIND inspect -f TEMPLATE`` prints.

Programs outside this repository use this command to compare hawse's templates with Docker's. The code needs
`cli.output`, which knows the types of Docker's documents. Because this package must not import `cli.output`, the code
is in `cli.output.__main__`.
"""

from __future__ import annotations

import runpy

runpy.run_module("cli.output", run_name="__main__")
