"""Execute a parsed template: print values, run if/with/range, and invoke other templates.

The module handles control flow and the positions of errors. evaluator.py evaluates the pipelines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from cli.gotemplate.errors import Fault, TemplateExecError
from cli.gotemplate.evaluator import Evaluator, EvaluatorSettings
from cli.gotemplate.gotypes import INT_KINDS, UINT_KINDS, Value, indirect, integer, truth, unwrap
from cli.gotemplate.nodes import Action, Body, Branch, Invocation, Jump, TemplateNode, Text
from cli.gotemplate.printing import printable, sprint
from cli.gotemplate.text import decode
from engine.golang.strconv import quote

GO_MAX_DEPTH = 100_000  # the depth that Go's error message names
MAX_DEPTH = 5_000  # maximum depth of nested template calls; the interpreter's stack can hold this depth
_STACK_FRAMES = 120_000  # Python's recursion limit while a template runs
_INVOCATION_STEPS = 10  # number of steps that the budget counts for one template call


class TemplateSource(NamedTuple):
    """The input of an execution: the source text, and a map from the templates' names to their bodies."""

    text: str
    trees: Mapping[bytes, Body]


@contextmanager
def deep_stack() -> Iterator[None]:
    """Raise Python's recursion limit for deeply nested templates; restore the limit on exit."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _STACK_FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class Executor(Evaluator):
    """Executes one invocation of a template.

    Each invoked template has its own executor, and all executors write to the same output.
    """

    def __init__(
        self,
        source: TemplateSource,
        settings: EvaluatorSettings,
        name: bytes,
        dot: Value | None,
        output: list[bytes],
        depth: int,
    ) -> None:
        super().__init__(settings, dot)
        self.source = source
        self.name = name
        self.output = output
        self.depth = depth

    def run(self, dot: Value | None) -> None:
        """Execute the template's body; raises TemplateExecError, which names the position of the failure.

        ``dot`` is the value of ``.`` in the body.
        """
        try:
            self._body(dot, self.source.trees[self.name])
        except Fault as fault:
            raise self._located(str(fault)) from None
        except RecursionError:
            raise self._located(f"exceeded maximum template depth ({GO_MAX_DEPTH})") from None

    def _located(self, text: str) -> TemplateExecError:
        if self.node is None:
            return TemplateExecError(f"template: : {text}")
        before = self.source.text[: self.node.pos]
        line = before.count("\n") + 1
        column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogateescape"))
        place = f":{line}:{column}: executing {quote(decode(self.name))} at <{self.node.source()}>"
        return TemplateExecError(f"template: {place}: {text}")

    def _write(self, data: bytes) -> None:
        self.settings.budget.produce(len(data))
        self.output.append(data)

    def _body(self, dot: Value | None, body: Body) -> str:
        """Execute the nodes of a template body in order; ``dot`` is the value of ``.`` in the body.

        Return "break" or "continue" if an action ``{{break}}`` or ``{{continue}}`` ended the body early. Return "" if
        all nodes were executed.
        """
        self.node = body
        for node in body.nodes:
            jump = self._walk(dot, node)
            if jump:
                return jump
        return ""

    def _walk(self, dot: Value | None, node: TemplateNode) -> str:
        self.node = node
        if isinstance(node, Text):
            self._write(node.text)
        elif isinstance(node, Action):
            self._action(dot, node)
        elif isinstance(node, Jump):
            return node.keyword
        elif isinstance(node, Branch):
            return self._range(dot, node) if node.keyword == "range" else self._condition(dot, node)
        elif isinstance(node, Invocation):
            self._invoke(dot, node)
        return ""

    def _action(self, dot: Value | None, node: Action) -> None:
        value = self.pipeline(dot, node.pipe)
        if not node.pipe.decl:
            self.node = node
            self._write(sprint([printable(value)], self.settings.budget))

    def _condition(self, dot: Value | None, branch: Branch) -> str:
        mark = len(self.variables)
        value = self.pipeline(dot, branch.pipe)
        jump = ""
        if truth(unwrap(value)):
            jump = self._body(value if branch.keyword == "with" else dot, branch.body)
        elif branch.else_body is not None:
            jump = self._body(dot, branch.else_body)
        del self.variables[mark:]
        return jump

    def _range(self, dot: Value | None, branch: Branch) -> str:
        mark = len(self.variables)
        value, _ = indirect(self.pipeline(dot, branch.pipe))
        inside = len(self.variables)
        empty = True
        jump = ""
        for index, element in self._elements(value, len(branch.pipe.decl)):
            empty = False
            self.settings.budget.step()
            if branch.pipe.decl:
                self._bind(branch, index, element)
            jump = self._body(element, branch.body)
            del self.variables[inside:]
            if jump == "break":
                break
        else:
            if empty and branch.else_body is not None:
                jump = self._body(dot, branch.else_body)
        del self.variables[mark:]
        # In the else part of a range, ``break`` ends this range, but ``continue`` continues the enclosing range.
        return jump if empty and jump == "continue" else ""

    def _bind(self, branch: Branch, index: Value | None, element: Value | None) -> None:
        """Set the variables of the range action ``branch`` for one element, before the body of the range is executed.

        If the action declares a single variable, the variable gets the element. Of two variables, the first gets the
        index (for a map, the key) and the second gets the element.
        """
        decl = branch.pipe.decl
        values = (index, element) if len(decl) > 1 else (element,)
        for position, (variable, value) in enumerate(zip(decl, values, strict=False)):
            if branch.pipe.is_assign:
                self.assign(variable.idents[0], value)
            else:
                at = len(self.variables) - len(decl) + position
                self.variables[at] = (variable.idents[0], value)

    def _elements(self, value: Value | None, names: int) -> Iterator[tuple[Value | None, Value | None]]:
        if value is None:
            return
        kind = value.type.kind
        if kind in INT_KINDS or kind in UINT_KINDS:
            if names > 1:
                raise Fault(f"can't use {self._shown(value)} to iterate over more than one variable")
            for number in range(value.raw):
                yield None, Value(value.type, number)
        elif kind in ("array", "slice"):
            for number in range(value.length()):
                yield integer(number), value.at(number)
        elif kind == "map":
            yield from value.entries()
        else:
            raise Fault(f"range can't iterate over {self._shown(value)}")

    def _shown(self, value: Value) -> str:
        return decode(sprint([value], self.settings.budget))

    def _invoke(self, dot: Value | None, node: Invocation) -> None:
        if node.name not in self.source.trees:
            raise Fault(f"template {quote(decode(node.name))} not defined")
        if self.depth >= MAX_DEPTH:
            raise Fault(f"exceeded maximum template depth ({GO_MAX_DEPTH})")
        self.settings.budget.step(_INVOCATION_STEPS)
        argument = self.pipeline(dot, node.pipe)
        Executor(self.source, self.settings, node.name, argument, self.output, self.depth + 1).run(argument)
