"""What ``version`` and ``info`` share: a document that may be missing, rendered through a ``--format``."""

from __future__ import annotations

from collections.abc import Callable

from cli.app import App
from cli.documents import Json, as_json
from cli.errors import StatusError, daemon_text
from cli.formatting.errors import TemplateError
from engine.api import System
from engine.errors import EngineError

BAD_TEMPLATE = 64


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
    from cli.formatting import TemplateSyntaxError, parse

    try:
        return parse(format).execute(document)
    except TemplateSyntaxError as error:
        raise StatusError(f"template parsing error: {error}", BAD_TEMPLATE) from error
    except TemplateError as error:
        raise StatusError(str(error)) from error
