"""Functions with which the other modules of this package declare the Go structs of Docker's documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from cli.gotemplate.gotypes import Method, Raw, StructField, Type, Value, basic, boolean, string
from cli.gotemplate.text import decode, encode


class Tagged(NamedTuple):
    """The type and the JSON tag of a struct field.

    - ``key``: the field's name in JSON; "" means the field's own name
    - ``omit_empty``: whether an empty field is omitted from the JSON text
    - ``embedded``: whether the field is an embedded struct, or an embedded pointer to a struct; in JSON, the fields of
      the embedded struct are members of the outer object
    """

    type: Type
    key: str = ""
    omit_empty: bool = False
    embedded: bool = False


def named(type_: Type, key: str) -> Tagged:
    """Declare a field with the JSON name ``key``."""
    return Tagged(type_, key)


def optional(type_: Type, key: str = "") -> Tagged:
    """Declare a field that is omitted from the JSON text when the field is empty.

    ``key`` is the field's JSON name; "" means the field's own name.
    """
    return Tagged(type_, key, omit_empty=True)


def embedded(type_: Type) -> Tagged:
    """Declare an embedded struct, or an embedded pointer to a struct."""
    return Tagged(type_, embedded=True)


def struct(name: str, /, **fields: Type | Tagged) -> Type:
    """Return a struct type named ``name`` with the given fields, in the order of the arguments."""
    type_ = Type("struct", name)
    type_.fields = tuple(
        StructField(field, tag.type, tag.key or field, tag.omit_empty, tag.embedded)
        for field, declared in fields.items()
        for tag in (declared if isinstance(declared, Tagged) else Tagged(declared),)
    )
    return type_


def text_type(
    name: str, predicates: Mapping[str, Callable[[str], bool]], texts: Mapping[str, Callable[[str], str]] | None = None
) -> Type:
    """Return a named Go string type; the results of its methods depend only on the string.

    ``predicates`` maps the names of methods to functions that return a bool. ``texts`` maps the names of methods to
    functions that return a string.
    """
    methods = {method: Method(_predicate(test)) for method, test in predicates.items()}
    methods |= {method: Method(_text(read)) for method, read in (texts or {}).items()}
    return basic("string", name, methods)


def _predicate(test: Callable[[str], bool]) -> Callable[[Raw], Value]:
    return lambda raw: boolean(test(decode(raw)))


def _text(read: Callable[[str], str]) -> Callable[[Raw], Value]:
    return lambda raw: string(encode(read(decode(raw))))
