"""Parse template source into trees, with Go's grammar and Go's error texts.

The module implements the grammar and the scope of variables, and checks that each function exists.
"""

from __future__ import annotations

from collections.abc import Container

from cli.gotemplate.lexer import Lexer, Token
from cli.gotemplate.literals import parse_number
from cli.gotemplate.lookahead import Lookahead
from cli.gotemplate.nodes import (
    Action,
    Body,
    Bool,
    Branch,
    ChainNode,
    Dot,
    Else,
    EndNode,
    Field,
    Identifier,
    Invocation,
    Jump,
    Nil,
    NumberNode,
    Pipe,
    PipelineCommand,
    String,
    TemplateNode,
    Text,
    Variable,
)
from cli.gotemplate.text import decode, encode, unquote
from engine.golang.strconv import quote

MAX_NESTING = 10_000
_OPERANDS = frozenset(
    (
        "bool",
        "char constant",
        "complex",
        ".",
        "field",
        "identifier",
        "number",
        "nil",
        "raw string",
        "string",
        "variable",
    )
) | {"("}
_STRINGS = ("string", "raw string")


class Parser(Lookahead):
    """Parses the body of one template.

    A template that is defined inside this body has its own parser, which uses the same lexer.
    """

    def __init__(
        self, lexer: Lexer, functions: Container[str], trees: dict[bytes, Body], name: bytes, nesting: int = 0
    ) -> None:
        super().__init__(lexer)
        self.functions = functions
        self.trees = trees
        self.name = name
        self.variables = ["$"]
        self.nesting = nesting
        self._ranges = 0

    def _deeper(self) -> None:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self._error("max expression depth exceeded")

    # ------------------------------------------------------------------------------------------------ templates

    def parse_main(self) -> None:
        """Parse the whole source.

        The main template and all templates that the source defines are added to the parser's dict ``trees``.
        """
        root = Body(self._peek().pos)
        while self._peek().kind != "eof":
            if self._peek().kind == "{{":
                delimiter = self._next()
                if self._next_non_space().kind == "define":
                    self._nested(b"definition").parse_definition()
                    continue
                self._push_back(delimiter)
            node = self._text_or_action()
            if isinstance(node, EndNode | Else):
                raise self._error(f"unexpected {node.source()}")
            root.nodes.append(node)
        self._add(root)

    def parse_definition(self) -> None:
        """Parse the rest of ``{{define "name"}} … {{end}}``, and add the template to ``trees``.

        The word ``define`` has already been read. Raises TemplateSyntaxError for wrong syntax. Also raises it if
        ``trees`` already has a template of this name, and neither template is empty.
        """
        context = "define clause"
        token = self._next_non_space()
        if token.kind not in _STRINGS:
            raise self._unexpected(token, context)
        self.name = self._unquote(token)
        self._expect("}}", context)
        self.parse_body(context)

    def parse_body(self, context: str) -> None:
        """Parse a template's body up to the matching ``{{end}}``.

        The resulting tree is added to the parser's dict ``trees`` under the parser's own name. ``context`` names the
        part of the template that is parsed, for error messages.
        """
        body, end = self._item_list()
        if not isinstance(end, EndNode):
            raise self._error(f"unexpected {end.source()} in {context}")
        self._add(body)

    def _nested(self, name: bytes) -> Parser:
        return Parser(self.lexer, self.functions, self.trees, name, self.nesting)

    def _add(self, body: Body) -> None:
        existing = self.trees.get(self.name)
        if existing is None or existing.is_empty():
            self.trees[self.name] = body
        elif not body.is_empty():
            raise self._error(f"template: multiple definition of template {quote(decode(self.name))}")

    def _unquote(self, token: Token) -> bytes:
        try:
            return unquote(token.value)
        except ValueError as error:
            raise self._error(str(error)) from None

    # -------------------------------------------------------------------------------------------------- actions

    def _item_list(self) -> tuple[Body, TemplateNode]:
        body = Body(self._peek_non_space().pos)
        while self._peek_non_space().kind != "eof":
            node = self._text_or_action()
            if isinstance(node, EndNode | Else):
                return body, node
            body.nodes.append(node)
        raise self._error("unexpected EOF")

    def _text_or_action(self) -> TemplateNode:
        token = self._next_non_space()
        if token.kind == "text":
            return Text(token.pos, encode(token.value))
        if token.kind != "{{":
            raise self._unexpected(token, "input")
        self._action_line = token.line
        node = self._action()
        self._action_line = 0
        return node

    def _action(self) -> TemplateNode:
        token = self._next_non_space()
        match token.kind:
            case "block":
                return self._block()
            case "break" | "continue":
                return self._jump(token)
            case "else":
                return self._else()
            case "end":
                return EndNode(self._expect("}}", "end").pos)
            case "if" | "range" | "with":
                return self._control(token.kind)
            case "template":
                return self._invocation()
        self._push_back()
        token = self._peek()
        return Action(token.pos, self._pipeline("command", "}}"))

    def _jump(self, keyword: Token) -> TemplateNode:
        text = "{{" + keyword.kind + "}}"
        token = self._next_non_space()
        if token.kind != "}}":
            raise self._unexpected(token, text)
        if not self._ranges:
            raise self._error(text + " outside {{range}}")
        return Jump(keyword.pos, keyword.kind)

    def _else(self) -> TemplateNode:
        following = self._peek_non_space()
        # "{{else if" and "{{else with" start an else part that consists of one further "if" or "with".
        if following.kind in ("if", "with"):
            return Else(following.pos)
        return Else(self._expect("}}", "else").pos)

    def _control(self, keyword: str) -> TemplateNode:
        self._deeper()
        scope = len(self.variables)
        pipe = self._pipeline(keyword, "}}")
        self._ranges += keyword == "range"
        body, end = self._item_list()
        self._ranges -= keyword == "range"
        else_body = self._else_body(keyword, end) if isinstance(end, Else) else None
        del self.variables[scope:]
        self.nesting -= 1
        return Branch(pipe.pos, keyword, pipe, body, else_body)

    def _else_body(self, keyword: str, opening: Else) -> Body:
        if keyword != "range" and self._peek().kind == keyword:
            self._next()
            body = Body(opening.pos)
            body.nodes.append(self._control(keyword))
            return body
        body, end = self._item_list()
        if not isinstance(end, EndNode):
            raise self._error(f"expected end; found {end.source()}")
        return body

    def _template_name(self, context: str) -> tuple[Token, bytes]:
        token = self._next_non_space()
        if token.kind not in _STRINGS:
            raise self._unexpected(token, context)
        return token, self._unquote(token)

    def _block(self) -> TemplateNode:
        self._deeper()
        token, name = self._template_name("block clause")
        pipe = self._pipeline("block clause", "}}")
        self._nested(name).parse_body("block clause")
        self.nesting -= 1
        return Invocation(token.pos, name, pipe)

    def _invocation(self) -> TemplateNode:
        token, name = self._template_name("template clause")
        if self._next_non_space().kind == "}}":
            return Invocation(token.pos, name, None)
        self._push_back()
        return Invocation(token.pos, name, self._pipeline("template clause", "}}"))

    # ------------------------------------------------------------------------------------------------ pipelines

    def _pipeline(self, context: str, end: str) -> Pipe:
        pipe = Pipe(self._peek_non_space().pos)
        self._declarations(pipe, context)
        while True:
            token = self._next_non_space()
            if token.kind == end:
                self._check_pipeline(pipe, context)
                return pipe
            if token.kind not in _OPERANDS:
                raise self._unexpected(token, context)
            self._push_back()
            pipe.commands.append(self._command())

    def _declarations(self, pipe: Pipe, context: str) -> None:
        while self._peek_non_space().kind == "variable":
            variable = self._next()
            after = self._peek()
            following = self._peek_non_space()
            if following.kind in ("=", ":="):
                pipe.is_assign = following.kind == "="
                self._declare(pipe, variable)
                return
            if following.kind != "char" or following.value != ",":
                # The variable is an argument here and not a declaration. Push back all tokens that were read, for
                # example three tokens for "$x foo".
                if after.kind == "space":
                    self._push_back(after, variable)
                else:
                    self._push_back(variable)
                return
            self._declare(pipe, variable)
            if context != "range" or len(pipe.decl) >= 2:
                raise self._error(f"too many declarations in {context}")
            if self._peek_non_space().kind not in ("variable", "}}", ")"):
                raise self._error("range can only initialize variables")

    def _declare(self, pipe: Pipe, variable: Token) -> None:
        self._next_non_space()
        pipe.decl.append(Variable(variable.pos, [variable.value]))
        self.variables.append(variable.value)

    def _check_pipeline(self, pipe: Pipe, context: str) -> None:
        if not pipe.commands:
            raise self._error(f"missing value for {context}")
        for stage, command in enumerate(pipe.commands[1:], 2):
            if isinstance(command.args[0], Bool | Dot | Nil | NumberNode | String):
                raise self._error(f"non executable command in pipeline stage {stage}")

    def _command(self) -> PipelineCommand:
        command = PipelineCommand(self._peek_non_space().pos)
        while True:
            self._peek_non_space()
            operand = self._operand()
            if operand is not None:
                command.args.append(operand)
            token = self._next()
            if token.kind == "space":
                continue
            if token.kind in ("}}", ")"):
                self._push_back()
            elif token.kind != "|":
                raise self._unexpected(token, "operand")
            break
        if not command.args:
            raise self._error("empty command")
        return command

    def _operand(self) -> TemplateNode | None:
        node = self._term()
        if node is None or self._peek().kind != "field":
            return node
        chain = ChainNode(self._peek().pos, node)
        while self._peek().kind == "field":
            chain.fields.append(self._next().value[1:])
        if isinstance(node, Field):
            return Field(chain.pos, [*node.idents, *chain.fields])
        if isinstance(node, Variable):
            return Variable(chain.pos, [*node.idents, *chain.fields])
        if isinstance(node, Bool | String | NumberNode | Nil | Dot):
            raise self._error(f"unexpected . after term {quote(node.source())}")
        return chain

    def _term(self) -> TemplateNode | None:
        token = self._next_non_space()
        match token.kind:
            case "identifier":
                if token.value not in self.functions:
                    raise self._error(f"function {quote(token.value)} not defined")
                return Identifier(token.pos, token.value)
            case ".":
                return Dot(token.pos)
            case "nil":
                return Nil(token.pos)
            case "variable":
                return self._use_variable(token)
            case "field":
                return Field(token.pos, [token.value[1:]])
            case "bool":
                return Bool(token.pos, token.value == "true")
            case "char constant" | "complex" | "number":
                return self._number(token)
            case "(":
                return self._parenthesized()
            case "string" | "raw string":
                return String(token.pos, token.value, self._unquote(token))
        self._push_back()
        return None

    def _use_variable(self, token: Token) -> Variable:
        if token.value not in self.variables:
            raise self._error(f"undefined variable {quote(token.value)}")
        return Variable(token.pos, [token.value])

    def _number(self, token: Token) -> NumberNode:
        try:
            return parse_number(token.pos, token.value, token.kind)
        except ValueError as error:
            raise self._error(str(error)) from None

    def _parenthesized(self) -> Pipe:
        self._deeper()
        pipe = self._pipeline("parenthesized pipeline", ")")
        self.nesting -= 1
        return pipe


def parse_trees(source: str, functions: Container[str]) -> dict[bytes, Body]:
    """Parse ``source`` and return its templates by name; the main template is ``b""``; raises TemplateSyntaxError."""
    trees: dict[bytes, Body] = {}
    Parser(Lexer(source), functions, trees, b"").parse_main()
    return trees
