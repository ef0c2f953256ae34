"""Convert template values and constants to the parameter types of template functions.

The module implements Go's rules: which values a parameter accepts, and how a constant gets the parameter's type. The
evaluator (evaluator.py) evaluates the arguments.
"""

from __future__ import annotations

from cli.gotemplate.errors import Fault
from cli.gotemplate.gotypes import (
    ANY,
    ANY_VALUE,
    BOOL,
    COMPLEX128,
    FLOAT64,
    INT,
    INT_KINDS,
    STRING,
    UINT_KINDS,
    Type,
    Value,
    pointer_to,
)
from cli.gotemplate.nodes import Bool, NumberNode, String, TemplateNode


def fit(value: Value | None, type_: Type) -> Value | None:
    """Return ``value`` as an argument for a parameter of type ``type_``; raises Fault if the value does not fit.

    If only the value behind a pointer or inside an interface fits, this inner value is returned. If only a pointer to
    the value fits, and the value is addressable, this pointer is returned.

    ``value`` is None if the expression has no value (in Go, an invalid reflect.Value). The result is then the nil of
    ``type_``, as `nil_argument` returns it.
    """
    if value is None:
        return nil_argument(type_, "invalid value; expected")
    if type_ is ANY_VALUE or value.type.assignable_to(type_):
        return value
    if value.type.kind == "interface" and value.raw is not None:
        held: Value = value.raw
        value = held
        if value.type.assignable_to(type_):
            return value
    if value.type.kind == "ptr" and value.type.element().assignable_to(type_):
        target = value.dereferenced()
        if target is None:
            raise Fault(f"dereference of nil pointer of type {type_}")
        return target
    if value.addressable and pointer_to(value.type).assignable_to(type_):
        return Value(type_, value.raw)
    raise Fault(f"wrong type for value; expected {type_}; got {value.type}")


def nil_argument(type_: Type, problem: str = "cannot assign nil to") -> Value | None:
    """Return the nil of a parameter's type ``type_``; raises Fault with the text ``problem`` if the type has no nil.

    The nil of the types ANY (Go's ``any``) and ANY_VALUE (Go's reflect.Value) is None. The nil of any other type is a
    Value with the raw value None.
    """
    if not type_.can_be_nil():
        raise Fault(f"{problem} {type_}")
    return None if type_ is ANY or type_ is ANY_VALUE else Value(type_, None)


def constant(node: TemplateNode) -> Value | None:
    """Return a constant as an argument for a parameter of Go's type ``any``.

    The spelling of the constant decides the type: ``1`` gives an int, and ``1.0`` gives a float64. Raises Fault for the
    literal ``nil``, and for an integer that does not fit into an int.
    """
    if isinstance(node, Bool):
        return Value(BOOL, node.value)
    if isinstance(node, String):
        return Value(STRING, node.value)
    if isinstance(node, NumberNode):
        return _number(node)
    raise Fault(f"can't handle assignment of {node.source()} to empty interface argument")


def _number(node: NumberNode) -> Value | None:
    text = node.text
    if node.as_complex is not None:
        return Value(COMPLEX128, node.as_complex)
    hexadecimal = text[:2] in ("0x", "0X") and len(text) > 2 and not any(c in text for c in "pP")
    if node.as_float is not None and not hexadecimal and text[0] != "'" and any(c in ".eEpP" for c in text):
        return Value(FLOAT64, node.as_float)
    if node.as_int is not None:
        return Value(INT, node.as_int)
    if node.as_uint is not None:
        raise Fault(f"{text} overflows int")
    return None


def constant_as(node: TemplateNode, type_: Type) -> Value | None:
    """Return a constant as an argument of type ``type_``; raises Fault if the type does not accept the constant."""
    kind = type_.kind
    if type_ is ANY or type_ is ANY_VALUE:
        return constant(node)
    if kind == "string":
        if isinstance(node, String):
            return Value(type_, node.value)
        raise Fault(f"expected string; found {node.source()}")
    if kind in INT_KINDS:
        if isinstance(node, NumberNode) and node.as_int is not None:
            return Value(type_, node.as_int)
        raise Fault(f"expected integer; found {node.source()}")
    if kind in UINT_KINDS:
        if isinstance(node, NumberNode) and node.as_uint is not None:
            return Value(type_, node.as_uint)
        raise Fault(f"expected unsigned integer; found {node.source()}")
    raise Fault(f"can't handle {node.source()} for arg of type {type_}")
