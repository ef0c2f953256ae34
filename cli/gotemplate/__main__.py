"""``python -m cli.gotemplate KIND TEMPLATE < DOCUMENT``: runs the tool of `cli.output.__main__`."""

from __future__ import annotations

import runpy

runpy.run_module("cli.output", run_name="__main__")
