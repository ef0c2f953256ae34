"""Notices what other programs do to the firewall, and holds the place meanwhile (`drivers.api.Watch`)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from drivers import bridge_loopback, bridge_options
from drivers.api import DriverError, NetworkSpec, News
from drivers.firewall import forwarding
from drivers.firewall.notifications import Listener
from drivers.firewall.standby_table import Standby


class TableWatch:
    """A listener, for a driver whose networks do not pass the table's chains: `block` has nothing to keep out there."""

    def __init__(self) -> None:
        self._listener = Listener()

    def fileno(self) -> int:
        """The descriptor that is readable when there is news."""
        return self._listener.fileno()

    def read(self) -> News:
        """What has happened since the last call; never waits."""
        return self._listener.read()

    def missed(self) -> bool:
        """Tell whether something has happened that the last `read` did not tell."""
        return self._listener.missed()

    def block(self, networks: Sequence[NetworkSpec], saved_state: Sequence[str]) -> None:
        """Do nothing."""

    def unblock(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Let go of everything."""
        self._listener.close()


class FirewallWatch(TableWatch):
    """A listener and the table that stands by; without the latter, where it cannot be had."""

    def __init__(self) -> None:
        super().__init__()
        self._standby: Standby | None = None
        try:
            self._standby = Standby()
        except DriverError as error:
            print(f"no table can stand by for a flushed firewall: {error}", file=sys.stderr, flush=True)

    def block(self, networks: Sequence[NetworkSpec], saved_state: Sequence[str]) -> None:
        """Let no new connection through these networks' bridges until `unblock`.

        Without a table that stands by, at least the host's loopback services are out of containers' reach.
        """
        bridges = {bridge_options.parse(network).bridge: network.internal for network in networks}
        if self._standby is None:
            for bridge in bridges:
                bridge_loopback.switch_off(bridge)
            return
        families = [e.key for e in forwarding.recalled(saved_state) if e.set == "forwarding"]
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
