"""A parsed template, which can be executed any number of times, and the functions that it may call."""

from __future__ import annotations

from collections.abc import Mapping

from cli.gotemplate.budget import Budget
from cli.gotemplate.builtin import BUILTIN_NAMES, builtin_functions
from cli.gotemplate.docker_functions import DOCKER_NAMES, docker_functions
from cli.gotemplate.errors import TemplateExecError
from cli.gotemplate.evaluator import EvaluatorSettings
from cli.gotemplate.executor import Executor, TemplateSource, deep_stack
from cli.gotemplate.gotypes import Function, Value
from cli.gotemplate.parser import parse_trees
from cli.gotemplate.text import decode

_NAMES = BUILTIN_NAMES | DOCKER_NAMES


class Template:
    """A parsed template; raises TemplateSyntaxError with Go's error text for an invalid ``text``."""

    def __init__(self, text: str) -> None:
        with deep_stack():
            self._source = TemplateSource(text, parse_trees(text, _NAMES))

    def execute(
        self,
        data: Value | None,
        *,
        missing_key_fails: bool = False,
        replace: Mapping[str, Function] | None = None,
        budget: Budget | None = None,
    ) -> str:
        """Execute the template with ``data`` as the initial value of ``.``, and return the output.

        - ``missing_key_fails``: Go's option missingkey=error
        - ``replace``: functions that replace Docker's functions of the same names
        - ``budget``: limits the steps and the output bytes of all executions that share it; None means a new budget

        A failure raises TemplateExecError, which holds the output up to the failure.
        """
        budget = budget or Budget()
        functions = {**docker_functions(budget), **(replace or {})}
        settings = EvaluatorSettings(builtin_functions(budget), functions, budget, missing_key_fails)
        output: list[bytes] = []
        try:
            with deep_stack():
                Executor(self._source, settings, b"", data, output, 0).run(data)
        except TemplateExecError as error:
            error.partial = decode(b"".join(output))
            raise
        return decode(b"".join(output))
