"""Code that the commands ``version`` and ``info`` share.

The code gets a document from the engine, if the engine can be opened, and prints the document in a ``--format``.
"""

from __future__ import annotations

from collections.abc import Callable

from cli.app import App, StatusError
from cli.gotemplate import TemplateExecError, TemplateSyntaxError, parse
from cli.gotemplate.decoding import untyped
from cli.output.documents import Json, as_json
from engine.api import System
from engine.errors import EngineError


def server_document(app: App, ask: Callable[[System], Json]) -> tuple[Json | None, str]:
    """Return the document that ``ask`` gets from the engine, and an empty error text.

    If the engine raises an error, return None and the error text.
    """
    try:
        return ask(app.engine.system), ""
    except EngineError as error:
        return None, app.daemon_text(error)


def write_document(app: App, document: Json, format: str) -> None:
    """Print the document as JSON or through a template; raises StatusError with the exit codes that Docker uses."""
    if format == "json":
        app.out(as_json(document) + "\n")
        return

    try:
        text = parse(format).execute(untyped(app.protected(document)), missing_key_fails=True)
    except TemplateSyntaxError as error:
        raise StatusError(f"template parsing error: {error}", error.exit_code) from error
    except TemplateExecError as error:
        raise StatusError(str(error)) from error
    app.out_rendered(text + "\n")
