"""The nodes of a parsed template, and the source text that error messages show for a node.

parser.py makes the nodes, and executor.py executes them. The ``pos`` of a node counts characters from the start of the
source. The method ``source()`` returns the normal form, which Go's error messages show in ``at <…>``.
"""

from __future__ import annotations

from msgspec import Struct, field

from cli.gotemplate.text import decode
from engine.golang.strconv import quote


class TemplateNode(Struct, eq=False):
    """A node of a parsed template; nodes are compared by identity."""

    pos: int

    def source(self) -> str:
        """Return the normal form of the node's source text.

        A node calls ``source()`` of its parts, and not ``str()``. Because ``str()`` uses the C stack, deeply nested
        templates could overflow that stack.
        """
        return ""


class Text(TemplateNode):
    """Literal text between template actions."""

    text: bytes


class Dot(TemplateNode):
    """The dot ``.``, which stands for the current value."""

    def source(self) -> str:  # noqa: D102
        return "."


class Nil(TemplateNode):
    """The constant ``nil``, which has no type."""

    def source(self) -> str:  # noqa: D102
        return "nil"


class Bool(TemplateNode):
    """The constant ``true`` or ``false``."""

    value: bool

    def source(self) -> str:  # noqa: D102
        return "true" if self.value else "false"


class String(TemplateNode):
    """A string constant; ``quoted`` is the spelling of the constant in the source."""

    quoted: str
    value: bytes

    def source(self) -> str:  # noqa: D102
        return self.quoted


class NumberNode(TemplateNode):
    """A number constant in a template.

    Each attribute holds the constant's value in one Go type, or None if this Go type cannot hold the value.
    """

    text: str
    as_int: int | None = None
    as_uint: int | None = None
    as_float: float | None = None
    as_complex: complex | None = None

    def source(self) -> str:  # noqa: D102
        return self.text


class Identifier(TemplateNode):
    """The name of a function in a template."""

    name: str

    def source(self) -> str:  # noqa: D102
        return self.name


class Variable(TemplateNode):
    """A variable such as ``$x``, or a field of a variable such as ``$x.A.B``.

    ``idents`` is the list of the names: ``$x``, ``A``, ``B``.
    """

    idents: list[str]

    def source(self) -> str:  # noqa: D102
        return ".".join(self.idents)


class Field(TemplateNode):
    """Field names of the dot (the current value), such as ``.A.B``; ``idents`` is the list ``A``, ``B``."""

    idents: list[str]

    def source(self) -> str:  # noqa: D102
        return "." + ".".join(self.idents)


class ChainNode(TemplateNode):
    """Field names after a term other than a field or variable, such as ``(pipeline).A.B``; ``node`` is the term."""

    node: TemplateNode
    fields: list[str] = field(default_factory=list)

    def source(self) -> str:  # noqa: D102
        return ".".join([_argument(self.node), *self.fields])


class PipelineCommand(TemplateNode):
    """One stage of a pipeline: a list of arguments.

    If the first argument is a function or method, this function or method receives the other arguments.
    """

    args: list[TemplateNode] = field(default_factory=list)

    def source(self) -> str:  # noqa: D102
        return " ".join([_argument(arg) for arg in self.args])


class Pipe(TemplateNode):
    """A pipeline; it may declare or assign variables."""

    decl: list[Variable] = field(default_factory=list)
    is_assign: bool = False
    commands: list[PipelineCommand] = field(default_factory=list)

    def source(self) -> str:  # noqa: D102
        text = " | ".join([command.source() for command in self.commands])
        if not self.decl:
            return text
        return ", ".join([v.source() for v in self.decl]) + (" = " if self.is_assign else " := ") + text


class Action(TemplateNode):
    """An action ``{{pipeline}}``, which prints the value of the pipeline."""

    pipe: Pipe

    def source(self) -> str:  # noqa: D102
        return "{{" + self.pipe.source() + "}}"


class Body(TemplateNode):
    """A sequence of template nodes."""

    nodes: list[TemplateNode] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Return whether the sequence contains only white space."""
        return all(isinstance(node, Text) and not decode(node.text).strip() for node in self.nodes)


class Branch(TemplateNode):
    """An ``if``, ``with`` or ``range`` action with its bodies; ``keyword`` is the first word of the action."""

    keyword: str
    pipe: Pipe
    body: Body
    else_body: Body | None


class Jump(TemplateNode):
    """A ``break`` or ``continue`` action."""

    keyword: str

    def source(self) -> str:  # noqa: D102
        return "{{" + self.keyword + "}}"


class Invocation(TemplateNode):
    """A ``{{template "name" pipeline}}`` action."""

    name: bytes
    pipe: Pipe | None

    def source(self) -> str:  # noqa: D102
        argument = " " + self.pipe.source() if self.pipe is not None else ""
        return "{{template " + quote(decode(self.name)) + argument + "}}"


class EndNode(TemplateNode):
    """The action ``{{end}}``. Only the parser uses this node; no tree contains it."""

    def source(self) -> str:  # noqa: D102
        return "{{end}}"


class Else(TemplateNode):
    """The action ``{{else}}``. Only the parser uses this node; no tree contains it."""

    def source(self) -> str:  # noqa: D102
        return "{{else}}"


def _argument(node: TemplateNode) -> str:
    return "(" + node.source() + ")" if isinstance(node, Pipe) else node.source()
