"""``python -m cli.gotemplate KIND TEMPLATE < DOCUMENT``: run `cli.output.__main__`, which renders the document."""

from __future__ import annotations

import runpy

runpy.run_module("cli.output", run_name="__main__")
