"""The errors of templates.

There are two kinds that the user sees, and the internal Fault, which has no position in the template yet. The error
texts are Go's; they are written where the error is found, not here.
"""

from __future__ import annotations


class TemplateError(Exception):
    """A template failed; ``str()`` is Go's text, ``exit_code`` is the exit code of ``docker inspect``."""

    exit_code = 1


class TemplateSyntaxError(TemplateError):
    """The template cannot be parsed."""

    exit_code = 64


class TemplateExecError(TemplateError):
    """The template failed during execution; ``partial`` is the output before the failure."""

    def __init__(self, text: str, partial: str = "") -> None:
        super().__init__(text)
        self.partial = partial


class Fault(Exception):
    """A failed evaluation, raised without a position; the frame that executes the node adds the position."""
