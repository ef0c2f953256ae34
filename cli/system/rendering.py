"""Code that the commands ``version`` and ``info`` share.

`server_document` gets a document from the engine. `write_document` prints a document in the format of ``--format``.
"""

from __future__ import annotations

from collections.abc import Callable

from cli.app import App, StatusError
from cli.gotemplate import Template, TemplateExecError, TemplateSyntaxError
from cli.gotemplate.decoding import typed
from cli.gotemplate.gotypes import Type, Value
from cli.output.documents import Json
from engine.api import System
from engine.errors import EngineError


def server_document(app: App, ask: Callable[[System], Json]) -> tuple[Json | None, str]:
    """Return the document that ``ask`` gets from the engine, and an error text.

    The document is None if the engine raises an error. Without an error, the text is empty.
    """
    try:
        return ask(app.engine.system), ""
    except EngineError as error:
        return None, app.daemon_text(error)


def write_document(app: App, document: Json, type_: Type, format: str, name: str = "") -> None:
    """Print the document, which has the Go type ``type_``, as JSON or through a template.

    ``format`` is "json" or a template. Raises StatusError with the texts and exit codes that Docker uses. ``name`` is
    the template's name in these texts. If the template fails, the text before the failure is printed.
    """
    text = "{{json .}}" if format == "json" else format
    value = Value(type_, typed(type_, app.protected(document)))
    try:
        output, problem = Template(text).execute(value), ""
    except TemplateSyntaxError as error:
        raise StatusError(f"template parsing error: {_named(str(error), name)}", error.exit_code) from error
    except TemplateExecError as error:
        output, problem = error.partial, _named(str(error), name)
    app.out_rendered(output + "\n")
    if problem:
        raise StatusError(problem)


def _named(text: str, name: str) -> str:
    """Insert ``name`` into a template's error text, at the two places where Go writes the template's name.

    Example: ``template: :1:2: executing ""`` becomes ``template: version:1:2: executing "version"``.
    """
    return text.replace("template: :", f"template: {name}:", 1).replace('executing ""', f'executing "{name}"', 1)
