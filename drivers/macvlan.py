"""The ``macvlan`` driver: endpoints with MACs of their own on the parent's wire.

The host itself can't reach them through the parent: that is how macvlan works.
"""

from __future__ import annotations

from typing import Any

from drivers import options
from drivers.api import DriverFacts, NetworkSpec, OptionFacts
from drivers.subinterface import PARENT, PARENT_FACTS, ParentedDriver

MODE = "macvlan_mode"
MODES = ("bridge", "private", "vepa", "passthru")


class MacvlanDriver(ParentedDriver):
    """Networks whose endpoints are macvlan interfaces of the parent."""

    type = "macvlan"
    facts = DriverFacts(
        "local",
        "Share a parent interface, each with a MAC address",
        offers_gateway=True,
        options={
            PARENT: PARENT_FACTS,
            MODE: OptionFacts("How endpoints of one parent reach each other", "macvlan-mode", dict.fromkeys(MODES, "")),
            options.MTU: options.MTU_FACTS,
        },
    )
    modes = {mode: mode for mode in MODES}
    default_mode = "bridge"

    def attributes(self, network: NetworkSpec) -> dict[str, Any]:
        """The mode, ``-o macvlan_mode=``."""
        return {"macvlan_mode": self.mode(network, MODE)}
