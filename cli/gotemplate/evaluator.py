"""Evaluate the pipelines of a template: commands, fields, methods, function calls and their arguments.

An `Evaluator` computes the values of the pipelines in one invocation of a template. executor.py implements control
structures and output. A failure raises Fault. The evaluator's attribute ``node`` is then the node that failed; the
error message names this node.

The functions here never call each other through C code such as ``map``. Therefore deeply nested templates do not use
the C stack, which could overflow. Only Python's recursion limit bounds the nesting of templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cli.gotemplate.arguments import constant, constant_as, fit, nil_argument
from cli.gotemplate.budget import Budget
from cli.gotemplate.builtin import call_of
from cli.gotemplate.errors import Fault
from cli.gotemplate.gotypes import ANY_VALUE, Function, Method, Type, Value, indirect, truth, unwrap
from cli.gotemplate.nodes import ChainNode, Dot, Field, Identifier, Nil, Pipe, PipelineCommand, TemplateNode, Variable
from cli.gotemplate.text import decode, encode
from engine.golang.strconv import quote


class MissingArgument:
    """The type of the constant MISSING.

    In the first stage of a pipeline, MISSING takes the place of the value that a previous stage would give.
    """


MISSING = MissingArgument()
Final = Value | None | MissingArgument


class EvaluatorSettings(NamedTuple):
    """The settings of one execution, which all its template invocations share.

    ``builtins`` are Go's template functions, and ``functions`` are Docker's. ``budget`` limits the steps and the output
    bytes. ``missing_key_fails`` says whether a missing map key is an error.
    """

    builtins: Mapping[str, Function]
    functions: Mapping[str, Function]
    budget: Budget
    missing_key_fails: bool


class Evaluator:
    """Evaluates the pipelines of one template invocation.

    The attribute ``variables`` is the stack of the template's variables, as pairs of name and value. The last entry is
    the innermost variable. Two parameters have the same meaning in all methods:

    - ``dot``: the value of ``.`` in the template
    - ``final``: the value from the previous stage of the pipeline; it becomes the last argument of the present stage
    """

    def __init__(self, settings: EvaluatorSettings, dot: Value | None) -> None:
        self.settings = settings
        self.variables: list[tuple[str, Value | None]] = [("$", dot)]
        self.node: TemplateNode | None = None

    # ------------------------------------------------------------------------------------------------ variables

    def _variable_index(self, name: str) -> int:
        for index in range(len(self.variables) - 1, -1, -1):
            if self.variables[index][0] == name:
                return index
        raise Fault(f"undefined variable: {name}")

    def assign(self, name: str, value: Value | None) -> None:
        """Assign a value to the innermost variable with this name; raises Fault if there is none."""
        self.variables[self._variable_index(name)] = (name, value)

    # ------------------------------------------------------------------------------------------------ pipelines

    def pipeline(self, dot: Value | None, pipe: Pipe | None) -> Value | None:
        """Return the value of a pipeline, or None if ``pipe`` is None.

        ``dot`` is the value of ``.`` in the template. The variables that the pipeline declares stay on the evaluator's
        stack of variables. The caller removes them.
        """
        if pipe is None:
            return None
        self.settings.budget.step()
        self.node = pipe
        value: Final = MISSING
        for command in pipe.commands:
            result = self._command(dot, command, value)
            value = unwrap(result)
        assert not isinstance(value, MissingArgument)
        for variable in pipe.decl:
            if pipe.is_assign:
                self.assign(variable.idents[0], value)
            else:
                self.variables.append((variable.idents[0], value))
        return value

    def _command(self, dot: Value | None, command: PipelineCommand, final: Final) -> Value | None:
        first = command.args[0]
        if isinstance(first, Field):
            return self._field_node(dot, first, command.args, final)
        if isinstance(first, ChainNode):
            return self._chain_node(dot, first, command.args, final)
        if isinstance(first, Identifier):
            return self._function(dot, first, command, command.args, final)
        if isinstance(first, Pipe):
            self._refuse_arguments(command.args, final)
            return self.pipeline(dot, first)
        if isinstance(first, Variable):
            return self._variable_node(dot, first, command.args, final)
        self.node = first
        self._refuse_arguments(command.args, final)
        if isinstance(first, Dot):
            return dot
        if isinstance(first, Nil):
            raise Fault("nil is not a command")
        return constant(first)

    def _refuse_arguments(self, args: Sequence[TemplateNode], final: Final) -> None:
        if len(args) > 1 or final is not MISSING:
            raise Fault(f"can't give argument to non-function {args[0].source()}")

    # --------------------------------------------------------------------------------------------------- fields

    def _field_node(self, dot: Value | None, node: Field, args: Sequence[TemplateNode], final: Final) -> Value | None:
        self.node = node
        return self._fields(dot, dot, node, node.idents, args, final)

    def _chain_node(
        self, dot: Value | None, node: ChainNode, args: Sequence[TemplateNode], final: Final
    ) -> Value | None:
        self.node = node
        if isinstance(node.node, Nil):
            raise Fault(f"indirection through explicit nil in {node.source()}")
        start = self._argument(dot, node.node, ANY_VALUE)
        return self._fields(dot, start, node, node.fields, args, final)

    def _variable_node(
        self, dot: Value | None, node: Variable, args: Sequence[TemplateNode], final: Final
    ) -> Value | None:
        self.node = node
        value = self.variables[self._variable_index(node.idents[0])][1]
        if len(node.idents) == 1:
            self._refuse_arguments(args, final)
            return value
        return self._fields(dot, value, node, node.idents[1:], args, final)

    def _fields(
        self,
        dot: Value | None,
        receiver: Value | None,
        node: TemplateNode,
        names: Sequence[str],
        args: Sequence[TemplateNode],
        final: Final,
    ) -> Value | None:
        for name in names[:-1]:
            receiver = self._field(dot, name, node, (), MISSING, receiver)
        return self._field(dot, names[-1], node, args, final, receiver)

    def _field(
        self,
        dot: Value | None,
        name: str,
        node: TemplateNode,
        args: Sequence[TemplateNode],
        final: Final,
        receiver: Value | None,
    ) -> Value | None:
        if receiver is None:
            if self.settings.missing_key_fails:
                raise Fault(f"nil data; no entry for key {quote(name)}")
            return None
        type_ = receiver.type
        target, is_nil = indirect(receiver)
        assert target is not None
        if target.type.kind == "interface" and is_nil:
            raise Fault(f"nil pointer evaluating {type_}.{name}")
        method = target.type.method(name, target.addressable)
        if method is not None:
            return self._call(dot, _bound(method, target), node, name, args, final)
        has_args = len(args) > 1 or final is not MISSING
        kind = target.type.kind
        if kind == "struct":
            path = target.type.field_path(name)
            if path is not None:
                return _struct_field(target, path, name, type_, has_args)
        elif kind == "map" and target.type.key is not None and target.type.key.name == "string":
            return self._map_field(target, name, has_args)
        elif kind == "ptr" and is_nil:
            _refuse_nil_pointer(target.type.element(), name, type_)
        raise Fault(f"can't evaluate field {name} in type {type_}")

    def _map_field(self, target: Value, name: str, has_args: bool) -> Value | None:
        if has_args:
            raise Fault(f"{name} is not a method but has arguments")
        entry = target.entry(encode(name))
        if entry is None and self.settings.missing_key_fails:
            raise Fault(f"map has no entry for key {quote(name)}")
        return entry

    # ---------------------------------------------------------------------------------------------------- calls

    def _function(
        self, dot: Value | None, node: Identifier, place: TemplateNode, args: Sequence[TemplateNode], final: Final
    ) -> Value | None:
        self.node = node
        name = node.name
        function = self.settings.functions.get(name)
        if function is not None:
            return self._call(dot, function, place, name, args, final)
        function = self.settings.builtins[name]
        if name in ("and", "or"):
            self._check_count(function, name, len(args) - 1, final)
            return self._and_or(dot, name == "or", args[1:], final)
        if name == "call" and (len(args) > 1 or final is not MISSING):
            function = call_of(args[1].source() if len(args) > 1 else _described(final))
        return self._call(dot, function, place, name, args, final)

    def _and_or(self, dot: Value | None, stop_at: bool, args: Sequence[TemplateNode], final: Final) -> Value | None:
        value = None
        for arg in args:
            value = self._argument(dot, arg, ANY_VALUE)
            if truth(unwrap(value)) == stop_at:
                return value
        return value if isinstance(final, MissingArgument) else final

    def _check_count(self, function: Function, name: str, count: int, final: Final) -> None:
        total = count + (final is not MISSING)
        expected = len(function.params)
        if function.rest is not None:
            if total < expected:
                raise Fault(f"wrong number of args for {name}: want at least {expected} got {count}")
        elif total != expected:
            raise Fault(f"wrong number of args for {name}: want {expected} got {total}")
        if function.fault:
            raise Fault(function.fault)

    def _call(
        self,
        dot: Value | None,
        function: Function,
        place: TemplateNode,
        name: str,
        args: Sequence[TemplateNode],
        final: Final,
    ) -> Value | None:
        args = args[1:]
        self._check_count(function, name, len(args), final)
        self.settings.budget.step()
        params = function.params
        values = []
        for position, arg in enumerate(args):
            type_ = params[position] if position < len(params) else function.rest
            assert type_ is not None
            values.append(_passed(self._argument(dot, arg, type_), type_))
        if not isinstance(final, MissingArgument):
            type_ = params[len(args)] if len(args) < len(params) else function.rest
            assert type_ is not None
            values.append(_passed(fit(final, type_), type_))
        try:
            for value in values:
                self.settings.budget.read(value.raw if isinstance(value, Value) else value)
            return function.call(*values)
        except Fault as fault:
            self.node = place
            raise Fault(f"error calling {name}: {fault}") from None

    def _argument(self, dot: Value | None, node: TemplateNode, type_: Type) -> Value | None:
        self.node = node
        if isinstance(node, Dot):
            return fit(dot, type_)
        if isinstance(node, Nil):
            return nil_argument(type_)
        if isinstance(node, Field):
            value = self._field_node(dot, node, (), MISSING)
        elif isinstance(node, Variable):
            value = self._variable_node(dot, node, (), MISSING)
        elif isinstance(node, Pipe):
            value = self.pipeline(dot, node)
        elif isinstance(node, Identifier):
            value = self._function(dot, node, node, (), MISSING)
        elif isinstance(node, ChainNode):
            value = self._chain_node(dot, node, (), MISSING)
        else:
            return constant_as(node, type_)
        return fit(value, type_)


def _passed(value: Value | None, type_: Type) -> object:
    """Return a template value in the form that a Python function takes for a parameter of type ``type_``.

    - ANY_VALUE (Go's reflect.Value): the Value itself
    - an interface type: the Value inside the interface
    - any other type: the raw value (`Value.raw`)

    None is returned unchanged.
    """
    if type_ is ANY_VALUE:
        return value
    if type_.kind == "interface":
        return unwrap(value)
    return None if value is None else value.raw


def _bound(method: Method, receiver: Value) -> Function:
    return Function(method.params, lambda *args: _call_method(method, receiver, args), fault=method.fault)


def _call_method(method: Method, receiver: Value, args: tuple[object, ...]) -> Value | None:
    if receiver.raw is None:
        raise Fault("runtime error: invalid memory address or nil pointer dereference")
    return method.call(receiver.raw, *args)


def _described(final: Final) -> str:
    """Return the text that Go's reflect.Value.String gives for ``final``, the value from the previous pipeline stage.

    A string gives itself, an int gives ``<int Value>``. None and MISSING give ``<invalid Value>``.
    """
    if not isinstance(final, Value):
        return "<invalid Value>"
    return decode(final.raw) if final.type.kind == "string" else f"<{final.type} Value>"


def _struct_field(target: Value, path: Sequence[int], name: str, type_: Type, has_args: bool) -> Value:
    current = target
    for index in path[:-1]:
        embedded = current.field(index)
        if embedded.type.kind == "ptr":
            inner = embedded.dereferenced()
            if inner is None:
                owner = embedded.type.element().name.rpartition(".")[2]
                raise Fault(f"reflect: indirection through nil pointer to embedded struct field {owner}")
            embedded = inner
        current = embedded
    if not current.type.fields[path[-1]].exported:
        raise Fault(f"{name} is an unexported field of struct type {type_}")
    if has_args:
        raise Fault(f"{name} has arguments but cannot be invoked as function")
    return current.field(path[-1])


def _refuse_nil_pointer(pointed: Type, name: str, type_: Type) -> None:
    if pointed.kind != "struct" or pointed.field_path(name) is not None:
        raise Fault(f"nil pointer evaluating {type_}.{name}")
