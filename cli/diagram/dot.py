"""Draw a network map in the DOT language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from cli.diagram.parts import Json, addresses, clean, colour, facts, groups, ports


def draw(document: Json) -> str:
    """Return a network map: an ellipse for each network, a box for each container, and an edge for each endpoint."""
    head = ["graph hawse {", "    rankdir=LR;", '    node [fontname="sans-serif"]; edge [fontname="monospace"];']
    return "\n".join([*head, *_lines(document), "}"]) + "\n"


def _lines(document: Json) -> Iterator[str]:
    nodes: dict[str, str] = {}
    for number, network in enumerate(document["Networks"]):
        style = f'style=filled, fontcolor=white, color="{colour(network["Driver"])}"'
        yield f"    n{number} [label={_quoted(network['Name'], *facts(network))}, shape=ellipse, {style}];"
        for index, group in enumerate(groups(network)):
            new = [container for container in group.containers if container["Id"] not in nodes]
            if group.title and new:
                yield f"    subgraph cluster_n{number}h{index} {{ label={_quoted(group.title)}; style=dashed;"
            for container in new:
                nodes[container["Id"]] = f"c{len(nodes)}"
                label = _quoted(container["Name"], *ports(container))
                yield f'    {nodes[container["Id"]]} [label={label}, shape=box, style="rounded"];'
            if group.title and new:
                yield "    }"
        for container in network["Containers"]:
            label = _quoted(container["Interface"], *addresses(container))
            yield f"    n{number} -- {nodes[container['Id']]} [label={label}];"


def _quoted(*lines: str) -> str:
    r"""Return a quoted DOT label with one or more lines; empty lines are omitted.

    DOT replaces escapes such as ``\N`` and HTML entities such as ``&lt;``, so backslashes and ampersands are escaped.
    """
    shown = (clean(line).replace("&", "&amp;") for line in lines if line)
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in shown)
    return '"' + "\\n".join(escaped) + '"'
