"""The firewall of hawse's networks: nftables tables with fixed rules, in which only set elements change."""

from __future__ import annotations

from drivers.firewall import forwarding, spoof_guard, table


def teardown() -> None:
    """Remove hawse's tables and restore IP forwarding; idempotent.

    The engine calls this function after the last network is removed.
    """
    forwarding.restore()
    table.remove_all()
    spoof_guard.remove_all()
