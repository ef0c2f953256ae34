"""The firewall of bridge networks: one nftables table of ours, in which everything that changes is an element."""

from __future__ import annotations

from drivers.firewall import forwarding, spoof_guard, table


def teardown() -> None:
    """Remove our table and restore the forwarding we had switched on; for when the last network is gone. Idempotent."""
    forwarding.restore()
    table.remove_all()
    spoof_guard.remove_all()
