"""Render inspect documents as ``docker inspect --format`` does: first as typed Go values, then as plain JSON.

If the template fails on the typed values, it is executed again on the plain JSON. The module also implements the format
"json" and the output without a format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cli.docker_types.container_types import CONTAINER_JSON
from cli.docker_types.image_types import IMAGE_INSPECT
from cli.docker_types.network_types import NETWORK_RESOURCE
from cli.docker_types.node_types import NODE
from cli.docker_types.system_types import CONTEXT
from cli.gotemplate.budget import Budget
from cli.gotemplate.decoding import load, typed, untyped
from cli.gotemplate.errors import TemplateExecError, TemplateSyntaxError
from cli.gotemplate.gotypes import Value
from cli.gotemplate.jsontext import compact, indent
from cli.gotemplate.template import Template

_TYPES = {
    "network": NETWORK_RESOURCE,
    "container": CONTAINER_JSON,
    "image": IMAGE_INSPECT,
    "node": NODE,
    "context": CONTEXT,
}
KINDS = tuple(_TYPES)
_PREFIX = "template parsing error: "

Document = Mapping[str, Any] | str


class Inspector:
    """Renders the inspect documents of one kind of object with a template, as Docker does.

    ``kind`` is "network", "container", and so on. ``text`` is the value of ``--format``. An invalid template raises
    TemplateSyntaxError. The template is executed on the document's typed Go values first. If this execution fails, the
    template is executed on the plain JSON, where a missing key is an error. From then on, a missing key is also an
    error in the typed values of later documents.
    """

    def __init__(self, kind: str, text: str) -> None:
        # A kind that hawse lacks, such as "volume", has no documents. Only the syntax of its template is checked.
        self._type = _TYPES.get(kind, CONTAINER_JSON)
        self._text = text
        self._missing_key_fails = False
        self._template: Template | None = None
        if text not in ("", "json"):
            try:
                self._template = Template(text)
            except TemplateSyntaxError as error:
                raise TemplateSyntaxError(f"{_PREFIX}{error}") from None

    def render(self, document: Document) -> str:
        """Return the text for one document, with a newline; raises TemplateExecError with Docker's error text.

        ``document`` is a mapping or JSON text. Without a template (``--format`` is "" or "json"), the text is a JSON
        array that contains only this document. With a template, JSON text that cannot be parsed raises ValueError.
        """
        if self._template is None:
            source = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
            return (compact if self._text else indent)(f"[{source}]") + "\n"
        data = load(document) if isinstance(document, str) else document
        budget = Budget()
        try:
            value = Value(self._type, typed(self._type, data))
            return self._template.execute(value, missing_key_fails=self._missing_key_fails, budget=budget) + "\n"
        except (TemplateExecError, ValueError, TypeError, AttributeError) as error:
            if budget.exhausted:
                raise TemplateExecError(f"{_PREFIX}{error}") from None
            return self._render_untyped(self._template, data, budget)

    def _render_untyped(self, template: Template, data: Any, budget: Budget) -> str:
        self._missing_key_fails = True
        try:
            return template.execute(untyped(data), missing_key_fails=True, budget=budget) + "\n"
        except TemplateExecError as error:
            raise TemplateExecError(f"{_PREFIX}{error}", error.partial) from None
