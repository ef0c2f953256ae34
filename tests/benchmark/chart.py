"""Bar charts as SVG, readable on light and on dark pages. A chart can show any numbers, not only benchmark results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT = 760, 190, 110
BAR, GAP, HEAD = 15, 12, 62
COLOURS = ("#2f6fde", "#e08a1e", "#7b8794", "#2a9d6f")
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.value { font-size: 12px; fill: #57606a }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .value { fill: #9da7b3 } }"""


@dataclass(frozen=True)
class Group:
    """A group of bars under one label. Each bar has the name of its series, its length, and the text at its right."""

    label: str
    bars: Sequence[tuple[str, float, str]]


def bar_chart(title: str, groups: Sequence[Group], *, common_scale: bool = True) -> str:
    """Return a chart of horizontal bars as SVG.

    If ``common_scale`` is false, each group of bars has its own scale: the longest bar of each group fills the width.
    """
    series = list(dict.fromkeys(name for group in groups for name, _, _ in group.bars))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(series)}
    longest = max((value for group in groups for _, value, _ in group.bars), default=1.0)
    body, top = [], HEAD
    for group in groups:
        scale = longest if common_scale else max(value for _, value, _ in group.bars)
        body += _group(group, top, scale or 1.0, colours)
        top += BAR * len(group.bars) + GAP
    parts = [_text(12, 24, title, "title"), *_legend(colours), *body]
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    return "\n".join(
        [f'{opening} role="img" aria-label="{escape(title)}">', f"<style>{STYLE}</style>", *parts, "</svg>\n"]
    )


def _legend(colours: dict[str, str]) -> Iterable[str]:
    left = 12
    for name, colour in colours.items():
        yield f'<rect x="{left}" y="36" width="11" height="11" rx="2" fill="{colour}"/>'
        yield _text(left + 16, 46, name)
        left += 34 + 8 * len(name)


def _group(group: Group, top: int, scale: float, colours: dict[str, str]) -> Iterable[str]:
    middle = top + BAR * len(group.bars) / 2 + 4
    yield f'<text x="{LEFT - 10}" y="{middle:g}" text-anchor="end">{escape(group.label)}</text>'
    for number, (name, value, written) in enumerate(group.bars):
        y = top + BAR * number
        length = max(1.0, value / scale * (WIDTH - LEFT - RIGHT))
        yield f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 2}" rx="2" fill="{colours[name]}"/>'
        yield _text(LEFT + length + 6, y + BAR - 4, written, "value")


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    marked = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:g}"{marked}>{escape(text)}</text>'
