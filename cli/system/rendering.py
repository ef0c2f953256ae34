"""What ``version`` and ``info`` share: a document that may be missing, rendered through a ``--format``."""

from __future__ import annotations

from collections.abc import Callable

from cli.app import App
from cli.documents import Json, as_json
from cli.errors import StatusError, daemon_text
from engine.api import System
from engine.errors import EngineError


def server_document(app: App, ask: Callable[[System], Json]) -> tuple[Json | None, str]:
    """The engine's document, or None and the reason why there is none."""
    try:
        return ask(app.engine.system), ""
    except EngineError as error:
        return None, daemon_text(error)


def render(document: Json, format: str) -> str:
    """The document as JSON, or as the template says; StatusError with Docker's exit codes."""
    if format == "json":
        return as_json(document)
    from cli.formatting import TemplateExecError, TemplateSyntaxError, parse
    from cli.formatting.decoding import untyped

    try:
        return parse(format).execute(untyped(document), missing_key_fails=True)
    except TemplateSyntaxError as error:
        raise StatusError(f"template parsing error: {error}", error.exit_code) from error
    except TemplateExecError as error:
        raise StatusError(str(error)) from error
