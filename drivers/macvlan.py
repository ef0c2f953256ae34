"""The ``macvlan`` driver: endpoints have their own MACs on the Ethernet segment of a parent interface.

With macvlan, the host itself cannot reach the endpoints through the parent.
"""

from __future__ import annotations

from drivers import options
from drivers.model import DriverFacts, OptionFacts
from drivers.subinterface import PARENT, PARENT_FACTS, SubinterfaceBase

MODE = "macvlan_mode"
MODES = ("bridge", "private", "vepa", "passthru")


class MacvlanDriver(SubinterfaceBase):
    """The driver of networks whose endpoints are macvlan interfaces of a parent interface."""

    type = "macvlan"
    facts = DriverFacts(
        "local",
        "Share a parent interface, each with a MAC address",
        offers_gateway=True,
        has_modes=True,
        has_parent=True,
        link_kinds=("macvlan",),
        options={
            PARENT: PARENT_FACTS,
            MODE: OptionFacts("How endpoints of one parent reach each other", "macvlan-mode", dict.fromkeys(MODES, "")),
            options.MTU: options.MTU_FACTS,
            options.HEAL: options.HEAL_FACTS,
        },
    )
    modes = {mode: mode for mode in MODES}
    default_mode = "bridge"
