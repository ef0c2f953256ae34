"""Network drivers for Linux: one file per driver type.

No other package changes the kernel by netlink or nftables.

The agent is hawse's background process (`engine.agentd`). It repairs networks and serves DNS.

This file registers the package pyroute2 without running its ``__init__``, which imports 190 modules. hawse needs only
27 of them, the modules for netlink messages. The others would take 0.2 s and 11 MB in each process.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec


def _register(name: str) -> None:
    """Register a package without running its ``__init__``, so that its modules can be imported.

    ``__init__`` runs later if a program asks the package for a name that is no module. For example, a driver of another
    package may execute ``from pyroute2 import IPRoute``.
    """
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        return  # the package is missing: a later import of one of its modules raises the usual ImportError
    package, loader = module_from_spec(spec), spec.loader

    def missing(attribute: str) -> object:
        try:
            return import_module(f"{name}.{attribute}")
        except ModuleNotFoundError:
            package.__dict__.pop("__getattr__", None)
            loader.exec_module(package)
            return getattr(package, attribute)

    package.__dict__["__getattr__"] = missing
    sys.modules[name] = package


if "pyroute2" not in sys.modules:
    _register("pyroute2")
