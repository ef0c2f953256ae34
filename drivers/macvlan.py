"""The ``macvlan`` driver: endpoints with MACs of their own on the parent's wire.

The host itself can't reach them through the parent: that is how macvlan works.
"""

from __future__ import annotations

from typing import Any

from drivers.api import NetworkSpec
from drivers.subinterface import ParentedDriver

MODE = "macvlan_mode"


class MacvlanDriver(ParentedDriver):
    """Networks whose endpoints are macvlan interfaces of the parent."""

    type = "macvlan"
    modes = {mode: mode for mode in ("bridge", "private", "vepa", "passthru")}
    default_mode = "bridge"

    def attributes(self, network: NetworkSpec) -> dict[str, Any]:
        """The mode, ``-o macvlan_mode=``."""
        return {"macvlan_mode": self.mode(network, MODE)}
