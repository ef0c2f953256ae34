"""Draw a network map as a tree for a terminal or a pipe."""

from __future__ import annotations

from rich.text import Text
from rich.tree import Tree

from cli.diagram.parts import Json, addresses, facts, groups, ports
from cli.output.console import text

STYLES = {"bridge": "bold blue", "overlay": "bold magenta", "macvlan": "bold green", "ipvlan": "bold cyan"}


def draw(document: Json) -> Tree:
    """Return a network map as a tree of the host, the host's networks and the containers on each network.

    The containers of a cluster network are grouped by host.
    """
    tree = Tree(text(f"host {document['Host']}", "bold"), guide_style="dim")
    for network in document["Networks"]:
        branch = tree.add(_network(network))
        for group in groups(network):
            place = branch.add(text(group.title)) if group.title else branch
            for container in group.containers:
                place.add(_container(container))
        if not network["Containers"]:
            branch.add(text("no containers", "dim"))
    if not document["Networks"]:
        tree.add(text("no networks in use", "dim"))
    return tree


def _network(network: Json) -> Text:
    return Text("  ").join([text(network["Name"], STYLES.get(network["Driver"], "bold")), *map(text, facts(network))])


def _container(container: Json) -> Text:
    parts = [text(container["Name"], "bold"), *(text(address, "cyan") for address in addresses(container))]
    if container["Interface"]:
        parts.append(text(container["Interface"], "dim"))
    if container["Names"]:
        parts.append(text(f"names: {', '.join(container['Names'])}"))
    if container["Ports"]:
        parts.append(text(f"ports: {', '.join(ports(container))}", "yellow"))
    return Text("  ").join(parts)
