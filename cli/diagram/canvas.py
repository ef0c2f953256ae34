"""A list of SVG elements, with methods that escape and cut every text."""

from __future__ import annotations

from html import escape

from cli.diagram.parts import clean

SANS, MONO = "sans-serif", "monospace"
LETTER = {SANS: 0.62, MONO: 0.61}
"""Estimated width of a letter as a fraction of the font size. Most letters are a little narrower."""
INK, SOFT, WHITE = "#0f172a", "#475569", "#ffffff"


class Canvas:
    """The elements of an SVG document; all measures are in pixels, and ``y`` increases downwards."""

    def __init__(self) -> None:
        self._elements: list[str] = []

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        radius: float = 0,
        fill: str = WHITE,
        stroke: str = "",
        stroke_width: float = 1,
        dashed: bool = False,
        opacity: float = 1,
    ) -> None:
        """Add a rectangle with its upper left corner at (``x``, ``y``).

        - ``radius``: the radius of the corners
        - ``fill``, ``opacity``: the colour and the opacity (0 to 1) of the area
        - ``stroke``, ``stroke_width``: the colour and the width of the border; the colour "" means no border
        - ``dashed``: whether the border is a dashed line
        """
        line = f' stroke="{stroke}" stroke-width="{stroke_width:g}"' if stroke else ""
        dashes = ' stroke-dasharray="7 5"' if dashed else ""
        solid = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"'
        self._elements.append(f'<rect {place} fill="{fill}"{solid}{line}{dashes}/>')

    def header(self, x: float, y: float, width: float, height: float, radius: float, fill: str) -> None:
        """Add a filled rectangle with two round upper corners and two square lower corners.

        The upper left corner is at (``x``, ``y``). ``radius`` is the radius of the round corners, and ``fill`` the
        colour of the rectangle.
        """
        corner, flat = f"a{radius:g} {radius:g} 0 0 1", width - 2 * radius
        path = f"M{x:g} {y + height:g}v{radius - height:g}{corner} {radius:g}-{radius:g}h{flat:g}"
        self._elements.append(f'<path d="{path}{corner} {radius:g} {radius:g}v{height - radius:g}z" fill="{fill}"/>')

    def text(
        self,
        x: float,
        y: float,
        data: str,
        room: float,
        *,
        size: int = 12,
        font: str = SANS,
        fill: str = INK,
        bold: bool = False,
        to_the_left: bool = False,
    ) -> None:
        """Add a text that is at most ``room`` pixels wide; escape the text, and cut it if it may be wider.

        - ``x``: where the text begins; with ``to_the_left``, where the text ends
        - ``y``: the position of the baseline
        - ``data``: the text
        - ``size``: the font size in pixels
        - ``font``: `SANS` or `MONO`
        - ``fill``: the colour
        """
        shown = clean(data, max(1, int(room / (size * LETTER[font]))))
        # Replace U+FFFE and U+FFFF, because XML allows neither of them, not even as an escape.
        safe = escape(shown.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd"))
        weight = ' font-weight="bold"' if bold else ""
        anchor = ' text-anchor="end"' if to_the_left else ""
        place = f'x="{x:g}" y="{y:g}" font-family="{font}" font-size="{size}" fill="{fill}"'
        self._elements.append(f"<text {place}{weight}{anchor}>{safe}</text>")

    def document(self, width: float, height: float, background: str) -> str:
        """Return the SVG document: all elements on a background of the colour ``background``."""
        size = f'width="{width:g}" height="{height:g}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:g} {height:g}">'
        return "\n".join([head, f'<rect {size} fill="{background}"/>', *self._elements, "</svg>"]) + "\n"
