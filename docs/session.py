"""Draw the session of the README as a picture: ``python -m docs.session``.

A test runs this session and compares the output, so the picture shows what hawse prints.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI, TerminalTheme
from rich.text import Text

HERE = Path(__file__).parent
TARGET = HERE / "session.svg"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FONTS = re.compile(r"@font-face \{\{.*?\}\}", re.DOTALL)
WIDTH = 108  # columns
LONG_ID = re.compile(r"[0-9a-f]{64}")


def session() -> list[str]:
    """Return the lines of the README's session. Long ids are cut, so that no line is wider than `WIDTH`."""
    block = BLOCK.search((HERE.parent / "README.md").read_text(encoding="utf-8"))
    assert block is not None
    return [LONG_ID.sub(lambda match: match[0][:12] + "…", line) for line in block[1].splitlines()]


def styled(line: str) -> Text:
    """Return a line of the session in the colours in which a terminal shows the line."""
    if line.startswith("# "):
        text = Text(line, style="bold")
        text.stylize("bold green", 0, 1)
        return text
    text = Text(line, style="bold" if line.startswith("NAMES ") else "")
    text.highlight_regex(r"\bUp [\w ]+?(?=  )", "green")
    return text


def picture() -> str:
    """Return the picture as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for line in session():
        console.print(styled(line), soft_wrap=True)
    return exported(console, "hawse", MONOKAI)


def exported(console: Console, identity: str, theme: TerminalTheme | None = None) -> str:
    """Return the recorded output of a console as SVG.

    ``identity`` is a prefix of the names in the SVG, and must differ between the pictures of a page. The SVG names no
    font file, because a picture in a README must load no other file. The viewer's monospace font is used instead.
    """
    template = FONTS.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code, ", "")
    return console.export_svg(title="hawse", theme=theme, code_format=template, unique_id=identity)


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
