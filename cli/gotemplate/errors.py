"""The ways a template fails.

It knows the two user-visible kinds and the inner fault that still lacks its place in the template. It refuses to know
the texts: they are Go's and are written where the fault is found.
"""

from __future__ import annotations


class TemplateError(Exception):
    """A template failed; ``str()`` is Go's text, ``exit_code`` what ``docker inspect`` exits with."""

    exit_code = 1


class TemplateSyntaxError(TemplateError):
    """The template does not parse."""

    exit_code = 64


class TemplateExecError(TemplateError):
    """The template failed while executing; ``partial`` is the output written before that."""

    def __init__(self, text: str, partial: str = "") -> None:
        super().__init__(text)
        self.partial = partial


class Fault(Exception):
    """A failed evaluation, raised without location; the executing frame adds the location."""
