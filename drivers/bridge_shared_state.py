"""Comparison and repair of the kernel state that all bridge networks of a host share.

That state has three parts: the table ``inet hawse``, the table ``bridge hawse``, and the sysctl route_localnet of the
bridges. Each part has its own code for comparison and repair. For a new part, add one line to `compare` and one to
`repair`. A command calls this module if shared state was lost. The agent calls this module after each possible change
of the shared state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from drivers import bridge_loopback, bridge_options, bridge_port
from drivers.firewall import elements, forwarding, proxy_redirect, spoof_guard, table, vxlan_guard
from drivers.firewall.elements import Element
from drivers.firewall.table_repair import Contents
from drivers.linux import conntrack
from drivers.model import Desired, Difference, Link, Members, Settings


def compare(desired: Desired, settings: Settings) -> list[Difference]:
    """Return how the kernel state that all bridge networks share differs from the desired state; changes nothing."""
    ports = _ports(desired.networks)
    return [
        *table.compare(_contents(desired, settings), _marks(settings, ports)),
        *spoof_guard.compare(spoof_guard.contents(ports, _ports(desired.unsettled))),
        *bridge_loopback.compare(_loopback(desired)),
    ]


def repair(desired: Desired, differences: Sequence[Difference], settings: Settings) -> None:
    """Repair the ``differences`` that `compare` found.

    The firewall's rules are repaired first, because route_localnet is safe only with those rules. While the rules were
    missing, flows to published ports may have reached the host instead of a container. The conntrack entries of these
    flows are deleted at the end.
    """
    ports = _ports(desired.networks)
    table.repair(_contents(desired, settings), _of(table.TABLE, differences), _marks(settings, ports))
    spoof_guard.repair(spoof_guard.contents(ports, _ports(desired.unsettled)), _of(spoof_guard.TABLE, differences))
    bridge_loopback.repair(_of(bridge_loopback.PLACE, differences))
    if _of(table.TABLE, differences):
        conntrack.forget_untranslated(port for _, ends in desired.networks for end in ends for port in end.ports)


def _of(part: str, differences: Iterable[Difference]) -> list[Difference]:
    return [difference for difference in differences if difference.place.startswith(part)]


def _marks(settings: Settings, ports: spoof_guard.Held) -> tuple[str, ...]:
    whole = table.whole(settings)
    return (whole, table.SPOOF_GUARDED) if ports.guarded or ports.muted else (whole,)


def _contents(desired: Desired, settings: Settings) -> Contents:
    kept = (
        *forwarding.STATE_SETS,
        *vxlan_guard.STATE_SETS,
        *(proxy_redirect.STATE_SETS if desired.relay is None else ()),
    )
    return Contents(
        required=[
            *_elements(desired.networks, desired.links, settings),
            *forwarding.recalled(desired.saved_state),
            *proxy_redirect.elements(desired.relay or {}),
        ],
        tolerated=_elements(desired.unsettled, desired.unsettled_links, settings),
        kept=kept,
        rules=table.accepting(settings.accept_mark) if settings.accept_mark else "",
    )


def _elements(networks: Members, links: Sequence[Link], settings: Settings) -> list[Element]:
    entries: list[Element] = []
    for network, endpoints in networks:
        options = bridge_options.parse(network)
        entries += elements.of_network(network, options)
        for endpoint in endpoints:
            entries += elements.of_ports(network, options, endpoint, endpoint.ports, direct=settings.direct_routing)
            entries += elements.of_siblings(options, endpoint.siblings)
    return entries + [element for pair in links for element in elements.of_link(*pair)]


def _ports(networks: Members) -> spoof_guard.Held:
    return spoof_guard.Held(bridge_port.guarded(networks), bridge_port.muted(networks))


def _loopback(desired: Desired) -> Iterator[tuple[str, bool | None]]:
    """Yield (bridge, need) for each network; ``need`` is True if its published ports need route_localnet on the bridge.

    ``need`` is None (unknown) if such ports belong only to endpoints that a command may be creating or removing now.
    """
    unsettled = dict(_needing(desired.unsettled))
    for bridge, needed in _needing(desired.networks):
        yield bridge, needed or (None if unsettled.get(bridge) else False)


def _needing(networks: Members) -> Iterator[tuple[str, bool]]:
    for network, endpoints in networks:
        options = bridge_options.parse(network)
        yield options.bridge, bridge_loopback.is_needed_by(network, options, endpoints)
