"""The nodes of a parsed template, and the source text that error messages show for a node.

parser.py makes the nodes, and executor.py executes them. The ``pos`` of a node counts characters from the start of the
source. The method ``source()`` returns the normal form, which Go's error messages show in ``at <…>``.
"""

from __future__ import annotations

from cli.gotemplate.text import decode
from engine.golang.strconv import quote


class TemplateNode:
    """A node of a parsed template."""

    __slots__ = ("pos",)

    def __init__(self, pos: int) -> None:
        self.pos = pos

    def source(self) -> str:
        """Return the normal form of the node's source text.

        A node calls ``source()`` of its parts, and not ``str()``. Because ``str()`` uses the C stack, deeply nested
        templates could overflow that stack.
        """
        return ""


class Text(TemplateNode):
    """Literal text between template actions."""

    __slots__ = ("text",)

    def __init__(self, pos: int, text: bytes) -> None:
        super().__init__(pos)
        self.text = text


class Dot(TemplateNode):
    """The dot ``.``, which stands for the current value."""

    __slots__ = ()

    def source(self) -> str:  # noqa: D102
        return "."


class Nil(TemplateNode):
    """The constant ``nil``, which has no type."""

    __slots__ = ()

    def source(self) -> str:  # noqa: D102
        return "nil"


class Bool(TemplateNode):
    """The constant ``true`` or ``false``."""

    __slots__ = ("value",)

    def __init__(self, pos: int, value: bool) -> None:
        super().__init__(pos)
        self.value = value

    def source(self) -> str:  # noqa: D102
        return "true" if self.value else "false"


class String(TemplateNode):
    """A string constant; ``quoted`` is the spelling of the constant in the source."""

    __slots__ = ("quoted", "value")

    def __init__(self, pos: int, quoted: str, value: bytes) -> None:
        super().__init__(pos)
        self.quoted = quoted
        self.value = value

    def source(self) -> str:  # noqa: D102
        return self.quoted


class NumberNode(TemplateNode):
    """A number constant in a template.

    Each attribute holds the constant's value in one Go type, or None if this Go type cannot hold the value.
    """

    __slots__ = ("as_complex", "as_float", "as_int", "as_uint", "text")

    def __init__(self, pos: int, text: str) -> None:
        super().__init__(pos)
        self.text = text
        self.as_int: int | None = None
        self.as_uint: int | None = None
        self.as_float: float | None = None
        self.as_complex: complex | None = None

    def source(self) -> str:  # noqa: D102
        return self.text


class Identifier(TemplateNode):
    """The name of a function in a template."""

    __slots__ = ("name",)

    def __init__(self, pos: int, name: str) -> None:
        super().__init__(pos)
        self.name = name

    def source(self) -> str:  # noqa: D102
        return self.name


class Variable(TemplateNode):
    """A variable such as ``$x``, or a field of a variable such as ``$x.A.B``.

    ``idents`` is the list of the names: ``$x``, ``A``, ``B``.
    """

    __slots__ = ("idents",)

    def __init__(self, pos: int, text: str) -> None:
        super().__init__(pos)
        self.idents = text.split(".")

    def source(self) -> str:  # noqa: D102
        return ".".join(self.idents)


class Field(TemplateNode):
    """Field names of the dot (the current value), such as ``.A.B``; ``idents`` is the list ``A``, ``B``."""

    __slots__ = ("idents",)

    def __init__(self, pos: int, text: str) -> None:
        super().__init__(pos)
        self.idents = text[1:].split(".")

    def source(self) -> str:  # noqa: D102
        return "." + ".".join(self.idents)


class ChainNode(TemplateNode):
    """Field names after a term other than a field or variable, such as ``(pipeline).A.B``; ``node`` is the term."""

    __slots__ = ("fields", "node")

    def __init__(self, pos: int, node: TemplateNode) -> None:
        super().__init__(pos)
        self.node = node
        self.fields: list[str] = []

    def source(self) -> str:  # noqa: D102
        return ".".join([_argument(self.node), *self.fields])


class PipelineCommand(TemplateNode):
    """One stage of a pipeline: a list of arguments.

    If the first argument is a function or method, this function or method receives the other arguments.
    """

    __slots__ = ("args",)

    def __init__(self, pos: int) -> None:
        super().__init__(pos)
        self.args: list[TemplateNode] = []

    def source(self) -> str:  # noqa: D102
        return " ".join([_argument(arg) for arg in self.args])


class Pipe(TemplateNode):
    """A pipeline; it may declare or assign variables."""

    __slots__ = ("commands", "decl", "is_assign")

    def __init__(self, pos: int) -> None:
        super().__init__(pos)
        self.decl: list[Variable] = []
        self.is_assign = False
        self.commands: list[PipelineCommand] = []

    def source(self) -> str:  # noqa: D102
        text = " | ".join([command.source() for command in self.commands])
        if not self.decl:
            return text
        return ", ".join([v.source() for v in self.decl]) + (" = " if self.is_assign else " := ") + text


class Action(TemplateNode):
    """An action ``{{pipeline}}``, which prints the value of the pipeline."""

    __slots__ = ("pipe",)

    def __init__(self, pos: int, pipe: Pipe) -> None:
        super().__init__(pos)
        self.pipe = pipe

    def source(self) -> str:  # noqa: D102
        return "{{" + self.pipe.source() + "}}"


class Body(TemplateNode):
    """A sequence of template nodes."""

    __slots__ = ("nodes",)

    def __init__(self, pos: int) -> None:
        super().__init__(pos)
        self.nodes: list[TemplateNode] = []

    def is_empty(self) -> bool:
        """Return whether the sequence contains only white space."""
        return all(isinstance(node, Text) and not decode(node.text).strip() for node in self.nodes)


class Branch(TemplateNode):
    """An ``if``, ``with`` or ``range`` action with its bodies; ``keyword`` is the first word of the action."""

    __slots__ = ("body", "else_body", "keyword", "pipe")

    def __init__(self, keyword: str, pipe: Pipe, body: Body, else_body: Body | None) -> None:
        super().__init__(pipe.pos)
        self.keyword = keyword
        self.pipe = pipe
        self.body = body
        self.else_body = else_body


class Jump(TemplateNode):
    """A ``break`` or ``continue`` action."""

    __slots__ = ("keyword",)

    def __init__(self, pos: int, keyword: str) -> None:
        super().__init__(pos)
        self.keyword = keyword

    def source(self) -> str:  # noqa: D102
        return "{{" + self.keyword + "}}"


class Invocation(TemplateNode):
    """A ``{{template "name" pipeline}}`` action."""

    __slots__ = ("name", "pipe")

    def __init__(self, pos: int, name: bytes, pipe: Pipe | None) -> None:
        super().__init__(pos)
        self.name = name
        self.pipe = pipe

    def source(self) -> str:  # noqa: D102
        argument = " " + self.pipe.source() if self.pipe is not None else ""
        return "{{template " + quote(decode(self.name)) + argument + "}}"


class EndNode(TemplateNode):
    """The action ``{{end}}``.

    Only the parser uses this node: the tree of a parsed template contains no such node.
    """

    __slots__ = ()

    def source(self) -> str:  # noqa: D102
        return "{{end}}"


class Else(TemplateNode):
    """The action ``{{else}}``.

    Only the parser uses this node: the tree of a parsed template contains no such node.
    """

    __slots__ = ()

    def source(self) -> str:  # noqa: D102
        return "{{else}}"


def _argument(node: TemplateNode) -> str:
    return "(" + node.source() + ")" if isinstance(node, Pipe) else node.source()
