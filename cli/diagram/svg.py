"""Draw a network map as SVG: a panel for each network in its driver's colour, with a card for each container.

This module computes the layout without another program. Because the viewer chooses the fonts, the module only estimates
the widths of texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cli.diagram.canvas import INK, LETTER, MONO, SANS, SOFT, WHITE, Canvas
from cli.diagram.parts import Json, addresses, also_on, clean, colour, drivers, groups, ports, subnets
from cli.output.text import columns

WIDTH, MARGIN, GAP = 1200, 40, 24  # width and margin of the picture, gap between panels
PAD, CARD_GAP, SMALLEST_CARD = 16, 12, 236
TITLE, LEGEND, HEADER, GROUP_TITLE, EMPTY = 64, 30, 58, 26, 28  # heights in pixels
LINE, CARD_TOP, CARD_BOTTOM = 18, 30, 10
ABREAST = 2  # number of panels side by side
PORTS_LIMIT = 6  # maximum number of ports in a card
PAPER, BORDER = "#f8fafc", "#cbd5e1"


class Area(NamedTuple):
    """The upper left corner and the width of a part of the picture, in pixels; its height depends on its contents."""

    x: float
    y: float
    width: float


class Line(NamedTuple):
    """One line of a card; ``kind`` is "address", "name" or "port"."""

    kind: str
    text: str


def draw(document: Json) -> str:
    """Return a network map as an SVG document."""
    canvas = Canvas()
    canvas.text(MARGIN, MARGIN + 6, f"Networks of {document['Host']}", WIDTH - 2 * MARGIN, size=22, bold=True)
    bottom = _panels(canvas, document)
    _legend(canvas, document, bottom + LEGEND / 2)
    return canvas.document(WIDTH, bottom + LEGEND + MARGIN / 2, PAPER)


def _panels(canvas: Canvas, document: Json) -> float:
    """Draw the panels of all networks in columns, and return the y coordinate below the longest column.

    Each panel is added to the column that is shortest so far.
    """
    networks, joined = document["Networks"], also_on(document)
    number = ABREAST if len(networks) > 1 else 1
    width = (WIDTH - 2 * MARGIN - GAP * (number - 1)) / number
    ends = [float(TITLE)] * number
    for network in networks:
        column = ends.index(min(ends))
        area = Area(MARGIN + column * (width + GAP), ends[column], width)
        ends[column] += _Panel(canvas, network, joined).draw(area) + GAP
    if not networks:
        canvas.text(MARGIN, TITLE + 20, "no networks in use", WIDTH, size=14, fill=SOFT)
        return TITLE + 40
    return max(ends)


class _Panel:
    """The panel of one network. The drawing methods, except `card`, return the height of the drawing in pixels.

    ``joined`` holds, by container id, the names of the networks to which the container is connected.
    """

    def __init__(self, canvas: Canvas, network: Json, joined: Mapping[str, Sequence[str]]) -> None:
        self.canvas, self.network, self.joined = canvas, network, joined
        self.paint = colour(network["Driver"])

    def draw(self, area: Area) -> float:
        """Draw the frame, then the contents, and return the height of the panel.

        The frame comes first, because later elements cover earlier ones. Because the frame needs the height of the
        contents, the contents are first drawn on another canvas, which is discarded.
        """
        canvas, dashed, inner = self.canvas, self.network["Internal"], area.width - 2 * PAD
        contents = Area(area.x + PAD, area.y + HEADER + PAD, inner)
        height = HEADER + PAD + _Panel(Canvas(), self.network, self.joined).contents(contents)
        canvas.box(*area, height, radius=14, stroke=self.paint, stroke_width=2, dashed=dashed)
        canvas.header(*area, HEADER, 14, self.paint)
        right, kind = area.x + area.width - PAD, self.network["Driver"] + (", internal" if dashed else "")
        canvas.text(area.x + PAD, area.y + 25, self.network["Name"], inner - 150, size=17, fill=WHITE, bold=True)
        canvas.text(right, area.y + 25, kind, 140, fill=WHITE, to_the_left=True)
        canvas.text(area.x + PAD, area.y + 46, " · ".join(subnets(self.network)), inner, font=MONO, fill=WHITE)
        self.contents(contents)
        return height

    def contents(self, area: Area) -> float:
        """Draw the containers and return the height; on a cluster network, each host has a box with its containers."""
        height = 0.0
        for title, containers in groups(self.network):
            rest = Area(area.x, area.y + height, area.width)
            height += self.group(rest, title, containers) if title else self.cards(rest, containers)
        if not self.network["Containers"]:
            self.canvas.text(area.x, area.y + height + 12, "no containers", area.width, fill=SOFT)
            height += EMPTY
        return height

    def group(self, area: Area, title: str, containers: Sequence[Json]) -> float:
        """Draw a box with the containers of one host, and return its height; ``title`` names the host."""
        inner = Area(area.x + PAD / 2, area.y + GROUP_TITLE, area.width - PAD)
        height = GROUP_TITLE + max(_Panel(Canvas(), self.network, self.joined).cards(inner, containers), PAD / 2)
        self.canvas.box(*area, height - 4, radius=10, fill=self.paint, opacity=0.08)
        self.canvas.text(area.x + 10, area.y + 17, title, area.width - 20, fill=SOFT, bold=True)
        self.cards(inner, containers)
        return height + PAD / 2

    def cards(self, area: Area, containers: Sequence[Json]) -> float:
        """Draw the containers' cards in rows, and return the height; the cards of a row are equally high."""
        number = max(1, int((area.width + CARD_GAP) // (SMALLEST_CARD + CARD_GAP)))
        width = (area.width - CARD_GAP * (number - 1)) / number
        height = 0.0
        for first in range(0, len(containers), number):
            row = [(container, self.lines(container)) for container in containers[first : first + number]]
            tall = CARD_TOP + CARD_BOTTOM + LINE * max(len(lines) for _, lines in row)
            for column, (container, lines) in enumerate(row):
                card = Area(area.x + column * (width + CARD_GAP), area.y + height, width)
                self.card(card, tall, container["Name"], lines)
            height += tall + CARD_GAP
        return height

    def card(self, area: Area, height: float, name: str, lines: Sequence[Line]) -> None:
        """Draw the card of one container: a box of this ``height`` with ``name`` and, below it, ``lines``."""
        x, y, width = area
        self.canvas.box(x, y, width, height, radius=9, stroke=BORDER)
        self.canvas.box(x, y + 9, 4, height - 18, radius=2, fill=self.paint)
        self.canvas.text(x + 14, y + 21, name, width - 24, size=14, bold=True)
        for number, (kind, text) in enumerate(lines):
            base = y + CARD_TOP + 11 + LINE * number
            if kind == "port":
                self.canvas.box(x + 12, base - 12, width - 24, 16, radius=8, fill=self.paint, opacity=0.12)
            left = 20 if kind == "port" else 14
            fill = {"port": self.paint, "name": SOFT}.get(kind, INK)
            self.canvas.text(x + left, base, text, width - left - 12, font=SANS if kind == "name" else MONO, fill=fill)

    def lines(self, container: Json) -> list[Line]:
        """Return the lines below the name in a container's card: addresses, other names, ports and other networks."""
        interface = f" · {container['Interface']}" if container["Interface"] else ""
        shown = [Line("address", address + interface) for address in addresses(container)]
        if container["Names"]:
            shown.append(Line("name", "also known as " + ", ".join(container["Names"])))
        published = [Line("port", port) for port in ports(container)]
        if len(published) > PORTS_LIMIT:
            published = [*published[: PORTS_LIMIT - 1], Line("port", f"and {len(published) - PORTS_LIMIT + 1} more")]
        others = [name for name in self.joined.get(container["Id"], ()) if name != self.network["Name"]]
        return [*shown, *published, *([Line("name", "also on " + ", ".join(others))] if others else [])]


def _legend(canvas: Canvas, document: Json, y: float) -> None:
    x = float(MARGIN)
    for driver in drivers(document):
        canvas.box(x, y - 10, 12, 12, radius=3, fill=colour(driver))
        canvas.text(x + 18, y, driver, 200, fill=SOFT)
        x += 18 + 12 * LETTER[SANS] * columns(clean(driver)) + 24
