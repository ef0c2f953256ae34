"""The exceptions of templates.

The user sees two types of exceptions: syntax errors and execution errors. The third type, Fault, is internal and does
not yet say where in the template the error is. The error texts are those of Go.
"""

from __future__ import annotations


class TemplateError(Exception):
    """An error in the syntax or the execution of a template.

    ``str()`` is Go's error text, and ``exit_code`` is the exit code that ``docker inspect`` uses.
    """

    exit_code = 1


class TemplateSyntaxError(TemplateError):
    """The template cannot be parsed."""

    exit_code = 64


class TemplateExecError(TemplateError):
    """The template failed during execution; ``partial`` is the output that was produced before the failure."""

    def __init__(self, text: str, partial: str = "") -> None:
        super().__init__(text)
        self.partial = partial


class Fault(Exception):
    """An error in the evaluation of a template, without the position in the template where the error occurred.

    The executor of the failed template node converts the Fault to a TemplateExecError with the position.
    """
