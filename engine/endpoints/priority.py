"""Which of a sandbox's networks comes first: at its default routes, its interfaces' numbers, and in looking up names.

Rules of Docker's libnetwork: networks without a way out come last; those that lead out over both families come before
those that lead out over one; then the name decides. A gateway priority of the user's comes before all but the first.
"""

from __future__ import annotations

from engine.model import NetworkRecord

Rank = tuple[bool, int, bool, str]


def gateway_priority(network: NetworkRecord, gw_priority: int = 0) -> Rank:
    """The sort key of a network, best first."""
    return network.internal, -gw_priority, not _leads_out_twice(network), network.name


def _leads_out_twice(network: NetworkRecord) -> bool:
    families = {":" in pool.gateway for pool in network.pools if pool.gateway and not pool.unused}
    return len(families) == 2 and network.scope == "local"
