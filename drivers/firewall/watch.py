"""Notices what other programs do to the firewall, and holds the place meanwhile (`drivers.api.Watch`)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from drivers import bridge_options, loopback
from drivers.api import DriverError, NetworkSpec
from drivers.firewall import forwarding
from drivers.firewall.notifications import Listener
from drivers.firewall.standby import Standby


class TableWatch(Listener):
    """A listener, for a driver whose networks do not pass the table's chains: `block` has nothing to keep out there."""

    def block(self, networks: Sequence[NetworkSpec], keepsakes: Sequence[str]) -> None:
        """Do nothing."""

    def unblock(self) -> None:
        """Do nothing."""


class FirewallWatch(TableWatch):
    """A listener and the table that stands by; without the latter, where it cannot be had."""

    def __init__(self) -> None:
        super().__init__()
        self._standby: Standby | None = None
        try:
            self._standby = Standby()
        except DriverError as error:
            print(f"no table can stand by for a flushed firewall: {error}", file=sys.stderr, flush=True)

    def block(self, networks: Sequence[NetworkSpec], keepsakes: Sequence[str]) -> None:
        """Let no new connection through these networks' bridges until `unblock`.

        Without a table that stands by, at least the host's loopback services are out of containers' reach.
        """
        bridges = {bridge_options.parse(network).bridge: network.internal for network in networks}
        if self._standby is None:
            for bridge in bridges:
                loopback.switch_off(bridge)
            return
        families = [e.key for e in forwarding.recalled(keepsakes) if e.set == "forwarding"]
        self._standby.block(bridges, (b for b, internal in bridges.items() if internal), families)

    def unblock(self) -> None:
        """End `block`; idempotent."""
        if self._standby is not None:
            self._standby.unblock()

    def close(self) -> None:
        """Let go of everything."""
        super().close()
        if self._standby is not None:
            self._standby.close()
