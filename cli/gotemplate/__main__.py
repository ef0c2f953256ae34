"""``python -m cli.gotemplate KIND TEMPLATE < DOCUMENT``: the tool of `cli.output.__main__`, under the name of the language."""

from __future__ import annotations

import runpy

runpy.run_module("cli.output", run_name="__main__")
