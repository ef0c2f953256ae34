"""Print the documents of ``inspect`` commands as JSON or through a template; print the errors after all documents.

Each command provides a function that returns the document and the kind of an object, given the object's name or id.
This module calls the function for each name, renders and prints the documents, and collects the errors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from cli.app import App, StatusError
from cli.gotemplate import TemplateExecError, TemplateSyntaxError
from cli.output.inspection import Inspector
from engine.errors import EngineError

Json = dict[str, Any]
Fetch = Callable[[str], tuple[str, Json]]
"""Type of a function that maps an object's name or id to two values: the object's kind and the object's document.

The kind is a word such as "network" or "container". The function raises EngineError or StatusError.
"""

INDENTS = {"": 4, "json": None}
"""Maps each format that is not a template to the number of spaces by which nested JSON is indented.

None means that all JSON is on one line.
"""

LINE_SEPARATORS = {0x2028: "\\u2028", 0x2029: "\\u2029"}
SURROGATES = dict.fromkeys(range(0xDC80, 0xDD00), "\ufffd")


def inspect_all(app: App, references: Iterable[str], template: str, kinds: Iterable[str], fetch: Fetch) -> None:
    """Print the documents of the objects with the names or ids in ``references``.

    - ``template``: the value of ``--format``
    - ``kinds``: the kinds of objects that ``fetch`` may return
    - ``fetch``: gets a name or an id, and returns the object's kind and document

    An invalid template raises StatusError, and nothing is printed. If objects cannot be fetched or rendered, all other
    documents are printed. After that, one StatusError with all errors is raised.
    """
    inspectors = {} if template in INDENTS else _inspectors(template, kinds)
    documents: list[Json] = []
    rendered: list[str] = []
    problems: list[str] = []
    for reference in references:
        try:
            kind, document = fetch(reference)
            if inspectors:
                rendered.append(inspectors[kind].render(app.protected(document)))
            else:
                documents.append(document)
        except EngineError as error:
            problems.append(app.daemon_text(error))
        except StatusError as error:
            problems.append(error.text)
        except TemplateExecError as error:
            problems.append(str(error))
    if inspectors:
        app.out_rendered("".join(rendered) or "\n")
    else:
        app.out(as_json(documents, indent=INDENTS[template]) + "\n")
    if problems:
        raise StatusError("\n".join(problems))


def _inspectors(template: str, kinds: Iterable[str]) -> dict[str, Inspector]:
    """Return an `Inspector` for each kind of object; raises StatusError for an invalid template."""
    try:
        return {kind: Inspector(kind, template) for kind in kinds}
    except TemplateSyntaxError as error:
        raise StatusError(str(error), error.exit_code) from error


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Return JSON with the same bytes as Go's encoder writes.

    ``indent`` is the number of spaces for each level; None means that all JSON is on one line. The characters that are
    special in HTML (``<``, ``>``, ``&``) are not escaped, as in the daemon's answers.
    """
    separators = (",", ": ") if indent else (",", ":")
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    return text if text.isascii() else text.translate({**LINE_SEPARATORS, **SURROGATES})


FORMATTING = """'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"""


INSPECT_FORMAT = f"Format output using a custom template:\n{FORMATTING}"


LIST_FORMAT = f"""Format output using a custom template:
'table':            Print output in table format with column headers (default)
'table TEMPLATE':   Print output in table format using the given Go template
{FORMATTING}"""
