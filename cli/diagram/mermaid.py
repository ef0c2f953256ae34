"""Draw a network map as a Mermaid flowchart, which GitHub and many wikis show."""

from __future__ import annotations

from collections.abc import Iterator

from cli.diagram.parts import Json, addresses, clean, colour, drivers, facts, groups, ports

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-/:,()")


def draw(document: Json) -> str:
    """Return a network map: a hexagon for each network, a box for each container, and an edge for each endpoint."""
    return "\n".join(["flowchart LR", *_lines(document)]) + "\n"


def _lines(document: Json) -> Iterator[str]:
    nodes: dict[str, str] = {}
    for number, network in enumerate(document["Networks"]):
        yield f"    n{number}{{{{{_label(network['Name'], ', '.join(facts(network)))}}}}}:::{_class(network['Driver'])}"
        for index, group in enumerate(groups(network)):
            if group.title:
                yield f"    subgraph n{number}h{index}[{_label(group.title)}]"
            for container in group.containers:
                if container["Id"] not in nodes:
                    nodes[container["Id"]] = f"c{len(nodes)}"
                    yield f"    {nodes[container['Id']]}[{_label(container['Name'], *ports(container))}]"
            if group.title:
                yield "    end"
        for container in network["Containers"]:
            edge = " ".join([container["Interface"], *addresses(container)]).strip()
            label = f"|{_label(edge)}|" if edge else ""
            yield f"    n{number} ---{label} {nodes[container['Id']]}"
    for driver in drivers(document):
        yield f"    classDef {_class(driver)} fill:{colour(driver)},color:#fff,stroke-width:0px"


def _class(driver: str) -> str:
    """Return the name of the Mermaid style for the networks of a driver: "driver_" and the driver's name.

    All characters of the driver's name except ASCII letters and digits are left out.
    """
    return f"driver_{''.join(c for c in driver if c.isascii() and c.isalnum())}"


def _label(*lines: str) -> str:
    """Return a quoted Mermaid label with these lines; write special characters of Mermaid and HTML as entities."""
    return '"' + "<br/>".join(_escaped(clean(line)) for line in lines) + '"'


def _escaped(name: str) -> str:
    return "".join(char if char in PLAIN else f"#{ord(char)};" for char in name)
