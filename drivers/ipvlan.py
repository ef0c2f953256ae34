"""The ``ipvlan`` driver: endpoints share the parent's MAC and are distinguished by their addresses.

Tests check only the netlink messages that the driver sends, because the kernels of the development machines have no
ipvlan.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from msgspec.structs import replace

from drivers import options
from drivers.errors import UnusableOption
from drivers.model import DriverFacts, EndpointSpec, JoinInfo, NetworkSpec, OptionFacts, Sandbox
from drivers.subinterface import PARENT, PARENT_FACTS, SubinterfaceBase

MODE, FLAG = "ipvlan_mode", "ipvlan_flag"
MODES = {"l2": 0, "l3": 1, "l3s": 2}
FLAGS = {"bridge": 0, "private": 1, "vepa": 2}  # option value to kernel flag (IPVLAN_F_PRIVATE, IPVLAN_F_VEPA)


class IpvlanDriver(SubinterfaceBase):
    """The driver of networks whose endpoints are ipvlan interfaces of a parent interface.

    In the l3 modes, the parent interface routes the endpoints' packets.
    """

    type = "ipvlan"
    facts = DriverFacts(
        "local",
        "Share a parent interface and its MAC address",
        offers_gateway=True,
        has_modes=True,
        has_parent=True,
        shares_mac=True,
        link_kinds=("ipvlan",),
        options={
            PARENT: PARENT_FACTS,
            MODE: OptionFacts("Layer at which the parent forwards packets", "ipvlan-mode", dict.fromkeys(MODES, "")),
            FLAG: OptionFacts("How endpoints of one parent reach each other", "ipvlan-flag", dict.fromkeys(FLAGS, "")),
            options.MTU: options.MTU_FACTS,
            options.HEAL: options.HEAL_FACTS,
        },
    )
    modes = MODES
    default_mode = "l2"

    def attributes(self, network: NetworkSpec) -> dict[str, Any]:
        """Return the link attributes for mode and flag, from ``-o ipvlan_mode=`` and ``-o ipvlan_flag=``.

        Raises `UnusableOption` for an unknown mode or flag.
        """
        mode = super().attributes(network)
        flag = network.options.get(FLAG) or "bridge"
        if flag not in FLAGS:
            raise UnusableOption(f"requested ipvlan flag '{flag}' is not valid, 'bridge' is the ipvlan driver default")
        return {**mode, "ipvlan_flags": FLAGS[flag]}

    def gateways(self, network: NetworkSpec, endpoint: EndpointSpec) -> tuple[IPv4Address | None, IPv6Address | None]:
        """Return the IPv4 and IPv6 gateways of the endpoint's subnets; (None, None) in the l3 modes."""
        return (None, None) if self._routed(network) else super().gateways(network, endpoint)

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Create the endpoint's interface in the sandbox; return the interface's name and the gateways.

        In the l3 modes, the default route leads out of the interface without a next hop.
        """
        info = super().join(network, endpoint, sandbox, interface)
        return replace(info, on_link=self._routed(network) and not network.internal)

    def _routed(self, network: NetworkSpec) -> bool:
        return network.options.get(MODE) in ("l3", "l3s")
