"""Build the documentation: ``python -m docs.build``.

The command writes the pages that are made from the source: the reference, the compatibility page and the man pages.
With ``--check`` it writes nothing, lists the pages that are not current, and exits with 1 if there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from docs import compatibility, manpages, reference

OWNED = (manpages.DIRECTORY / "man1", manpages.DIRECTORY / "man5", reference.HERE / "reference")
"""Directories in which every file is generated."""


def generated() -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of every generated page."""
    yield compatibility.TARGET, compatibility.document()[0]
    yield from reference.pages()
    yield from manpages.pages()


def stale() -> list[Path]:
    """Return the pages that `build` would change: missing or different pages, and pages of removed commands."""
    return outdated(dict(generated()))


def outdated(pages: Mapping[Path, str]) -> list[Path]:
    """Return the paths of missing and different pages, and of files in `OWNED` that are not in ``pages``.

    ``pages`` must hold all generated pages, because `build` deletes the other files in `OWNED`.
    """
    wrong = [path for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    return wrong + [path for directory in OWNED for path in sorted(directory.glob("*")) if path not in pages]


def build() -> None:
    """Write all generated pages, and remove pages of commands that no longer exist."""
    pages = dict(generated())
    for path in outdated(pages):
        if path in pages:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages[path], encoding="utf-8")
        else:
            path.unlink()


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        names = [str(path.relative_to(reference.SOURCE)) for path in stale()]
        print("\n".join(names))
        sys.exit(bool(names))
    build()
