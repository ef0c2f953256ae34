"""Print what ``inspect`` commands found: JSON as Docker's, or one template per document; errors come after.

A command says how one reference becomes a document and of which kind it is; this module does the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from cli.app import App
from cli.errors import StatusError, daemon_text
from cli.formatting.errors import TemplateError
from engine.errors import EngineError

Json = dict[str, Any]
Fetch = Callable[[str], tuple[str, Json]]
"""A reference to its kind ("network", "container", ...) and document; raises EngineError or StatusError."""

LINE_SEPARATORS = {0x2028: "\\u2028", 0x2029: "\\u2029"}
SURROGATES = dict.fromkeys(range(0xDC80, 0xDD00), "\ufffd")


class Writer(Protocol):
    """Collects documents and gives the text of all of them."""

    def add(self, kind: str, document: Json) -> None:
        """Take one document; TemplateExecError when it cannot be rendered."""

    def text(self) -> str:
        """Return what goes to stdout."""


class JsonWriter:
    """One JSON array of all documents."""

    def __init__(self, indent: int | None) -> None:
        self.indent = indent
        self.documents: list[Json] = []

    def add(self, kind: str, document: Json) -> None:
        """Take one document."""
        self.documents.append(document)

    def text(self) -> str:
        """Return the array."""
        return as_json(self.documents, indent=self.indent) + "\n"


class TemplateWriter:
    """One output of the template for each document, newline included.

    There is an inspector for each of the ``kinds``, made at once, so that a bad template fails before any work.
    """

    def __init__(self, template: str, kinds: Iterable[str]) -> None:
        from cli.formatting import Inspector

        self.inspectors = {kind: Inspector(kind, template) for kind in kinds}
        self.parts: list[str] = []

    def add(self, kind: str, document: Json) -> None:
        """Render one document."""
        self.parts.append(self.inspectors[kind].render(document))

    def text(self) -> str:
        """Return all outputs; an empty line where there is none."""
        return "".join(self.parts) or "\n"


def inspect_all(app: App, references: Iterable[str], template: str, kinds: Iterable[str], fetch: Fetch) -> None:
    """Print the documents of all references that exist; then fail with the errors of the others."""
    writer = document_writer(template, kinds)
    problems: list[str] = []
    for reference in references:
        try:
            writer.add(*fetch(reference))
        except EngineError as error:
            problems.append(daemon_text(error))
        except (StatusError, TemplateError) as error:
            problems.append(str(error))
    app.out(writer.text())
    if problems:
        raise StatusError("\n".join(problems))


def document_writer(template: str, kinds: Iterable[str]) -> Writer:
    """Choose the writer for a ``--format``; a template that does not parse ends the command."""
    if template in ("", "json"):
        return JsonWriter(None if template else 4)
    try:
        return TemplateWriter(template, kinds)
    except TemplateError as error:
        raise StatusError(str(error), error.exit_code) from error


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Write JSON with the bytes of Go's encoder (no HTML escapes, as the daemon sends it)."""
    separators = (",", ": ") if indent else (",", ":")
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    return text if text.isascii() else text.translate({**LINE_SEPARATORS, **SURROGATES})
