"""Register the package pyroute2 without running its ``__init__``.

Because the service must run this code before its other imports, and no other process may run it, it is a module of its
own. Later imports of pyroute2's modules then find the registered package.

hawse uses three of pyroute2's message modules. pyroute2's ``__init__`` imports 190 more modules (databases, event
loops, sockets), which take 9.4 MB and 0.2 s. A service that waits for requests all day should not keep them in memory.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec

if "pyroute2" not in sys.modules:
    _spec = find_spec("pyroute2")
    if _spec is not None:
        sys.modules["pyroute2"] = module_from_spec(_spec)
