"""Watches (`drivers.api.Watch`) that report other programs' changes of the firewall.

The agent uses these watches. A watch can also block new connections until the firewall is repaired.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from drivers import bridge_loopback, bridge_options
from drivers.errors import DriverError
from drivers.firewall import forwarding
from drivers.firewall.notifications import NftablesListener
from drivers.firewall.standby_table import Standby
from drivers.model import NetworkSpec


class TableWatch(NftablesListener):
    """A watch that reports firewall changes but never blocks connections.

    Drivers whose packets do not pass the chains of the table ``inet hawse`` use this watch.
    """

    def block(self, networks: Sequence[NetworkSpec], saved_state: Sequence[str]) -> None:
        """Do nothing, because packets of these networks do not pass the chains of the table ``inet hawse``."""

    def unblock(self) -> None:
        """Do nothing, because `block` blocks nothing."""


class FirewallWatch(TableWatch):
    """A watch that blocks connections with the agent's table ``inet hawse_standby``.

    If the kernel or libnftables does not support tables owned by one socket, the watch does not have this table. It
    then reports changes, but blocks no connections.
    """

    def __init__(self) -> None:
        super().__init__()
        self._standby: Standby | None = None
        try:
            self._standby = Standby()
        except DriverError as error:
            print(f"no table can stand by for a flushed firewall: {error}", file=sys.stderr, flush=True)

    def block(self, networks: Sequence[NetworkSpec], saved_state: Sequence[str]) -> None:
        """Block new connections through these networks' bridges until `unblock` is called.

        Two other kinds of new connections are blocked too:

        - connections from internal networks to the host
        - connections that the host forwards between interfaces other than these bridges. They are blocked only in the
          address families for which hawse enabled IP forwarding. ``saved_state`` names these families
          (`Repairer.saved_state`).

        If the kernel or libnftables does not support the table ``inet hawse_standby``, nothing is blocked. `block` then
        only switches the sysctl route_localnet of the bridges off, so that containers cannot reach services that listen
        on the host's 127.0.0.1.
        """
        bridges = {bridge_options.parse(network).bridge: network.internal for network in networks}
        if self._standby is None:
            for bridge in bridges:
                bridge_loopback.switch_off(bridge)
            return
        families = [e.key for e in forwarding.recalled(saved_state) if e.set == "forwarding"]
        self._standby.block(bridges, (b for b, internal in bridges.items() if internal), families)

    def unblock(self) -> None:
        """Stop the blocking that `block` started; idempotent.

        If `block` has switched the sysctl route_localnet off, this method does not switch it on. The repair of the
        firewall switches it on again.
        """
        if self._standby is not None:
            self._standby.unblock()

    def close(self) -> None:
        """Close all resources of the watch."""
        super().close()
        if self._standby is not None:
            self._standby.close()
