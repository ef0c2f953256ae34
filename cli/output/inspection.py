"""Renders inspect documents as ``docker inspect --format`` does: typed first, then as plain JSON.

It knows the two attempts and the formats that are not templates ("json" and none). It refuses to know how documents are
found and where output goes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cli.docker_types.container_types import CONTAINER_JSON
from cli.docker_types.image_types import IMAGE_INSPECT
from cli.docker_types.network_types import NETWORK_RESOURCE
from cli.docker_types.node_types import NODE
from cli.gotemplate.budget import Budget
from cli.gotemplate.decoding import load, typed, untyped
from cli.gotemplate.errors import TemplateExecError, TemplateSyntaxError
from cli.gotemplate.gotypes import Type, Value
from cli.gotemplate.jsontext import compact, indent
from cli.gotemplate.template import Template, parse

KINDS = ("network", "container", "image", "node")
_PREFIX = "template parsing error: "

Document = Mapping[str, Any] | str


def document_type(kind: str) -> Type:
    """Return the Go type of a kind's documents; its module is loaded on first use, lists never need it."""
    if kind == "network":
        return NETWORK_RESOURCE
    if kind == "image":
        return IMAGE_INSPECT
    if kind == "node":
        return NODE

    return CONTAINER_JSON


class Inspector:
    """Renders documents of one kind, in the order asked for.

    Once a document needed the second attempt, missing keys are errors for all that follow: Docker changes the option on
    the template they share.
    """

    def __init__(self, kind: str, text: str) -> None:
        self._type = document_type(kind)
        self._text = text
        self._missing_key_fails = False
        self._template: Template | None = None
        if text not in ("", "json"):
            try:
                self._template = parse(text)
            except TemplateSyntaxError as error:
                raise TemplateSyntaxError(f"{_PREFIX}{error}") from None

    def render(self, document: Document) -> str:
        """Return one document's output with its newline.

        Without a template that is a JSON array of the one document. Raises TemplateExecError; str is Docker's text.
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


def inspect_format(kind: str, text: str, document: Document) -> str:
    """Return what ``docker KIND inspect --format TEXT`` prints for one document.

    Raises TemplateSyntaxError and TemplateExecError with Docker's texts.
    """
    return Inspector(kind, text).render(document)
