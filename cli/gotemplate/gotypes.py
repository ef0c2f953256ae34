"""Go's types and values, as far as templates can inspect them (Go package reflect).

The module implements kinds, type names, fields, method sets, assignability and zero values. `cli.docker_types` has
Docker's structs. The Python form of a value (``Value.raw``) depends on the kind of the value's type:

- bool: bool; integers: int; float64: float; complex128: complex; string: bytes
- struct: list of raw fields; array: list; slice: Slice, or None for nil
- map: dict from raw key to raw value, or None for nil
- pointer: raw value that the pointer points to, or None for nil
- interface: Value, or None for nil
- opaque (a Python object behind a pointer): that Python object
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Raw = Any

INT_KINDS = frozenset(("int", "int8", "int16", "int32", "int64"))
UINT_KINDS = frozenset(("uint", "uint8", "uint16", "uint32", "uint64", "uintptr"))
_NILLABLE = frozenset(("interface", "map", "ptr", "slice"))
_ZEROS: dict[str, Raw] = {"bool": False, "string": b"", "float64": 0.0, "complex128": 0j}


class Slice:
    """A Go slice: ``items`` are its elements, and ``spare`` is the number of elements after them in the backing array.

    In hawse, the elements after ``items`` are zero values.
    """

    __slots__ = ("items", "spare")

    def __init__(self, items: list[Raw], spare: int = 0) -> None:
        self.items = items
        self.spare = spare


class StructField(NamedTuple):
    """A struct field; ``name`` is its name in Go, and ``key`` is its name in JSON.

    With ``omit_empty``, encoding/json omits the field if it is empty. ``embedded`` says whether the field is an
    embedded struct, or an embedded pointer to a struct.
    """

    name: str
    type: Type
    key: str
    omit_empty: bool = False
    embedded: bool = False

    @property
    def exported(self) -> bool:
        """Whether Go code outside the struct's own Go package may access the field."""
        return self.name[0].isupper()


class Function(NamedTuple):
    """A template function.

    - ``params``: the types of the fixed parameters
    - ``call``: the Python function. It gets the raw value (the Python form) of each argument. For a parameter of an
      interface type or of ANY_VALUE (Go's reflect.Value), it gets a Value, or None for nil.
    - ``rest``: the element type of a variadic parameter, or None without one
    - ``fault``: Go's error text if templates cannot call the function, else ""
    """

    params: tuple[Type, ...]
    call: Callable[..., Value | None]
    rest: Type | None = None
    fault: str = ""


class Type:
    """A Go type; two types are identical if their names are equal."""

    __slots__ = ("elem", "fields", "key", "kind", "lookup", "methods", "name", "pointer_methods", "size", "underlying")

    def __init__(self, kind: str, name: str, elem: Type | None = None, key: Type | None = None) -> None:
        self.kind = kind
        self.name = name
        self.elem = elem
        self.key = key
        self.fields: tuple[StructField, ...] = ()
        self.methods: Mapping[str, Method] = {}
        self.pointer_methods: Mapping[str, Method] = {}
        self.underlying = ""  # for a named slice, map or array type: the name of its underlying type
        self.size = 0  # for an array type: the number of elements
        self.lookup: dict[str, tuple[int, ...]] | None = None  # the path of each field by name; None: not computed yet

    def __repr__(self) -> str:
        return self.name

    def element(self) -> Type:
        """Return the element type of a pointer, slice, array or map; raises TypeError for any other type."""
        if self.elem is None:
            raise TypeError(self.name)
        return self.elem

    def can_be_nil(self) -> bool:
        """Return whether a value of this type can be nil; True also for reflect.Value (ANY_VALUE)."""
        return self.kind in _NILLABLE or self is ANY_VALUE

    def assignable_to(self, target: Type) -> bool:
        """Return whether a value of this type may be assigned to ``target`` without conversion."""
        if self.name == target.name or target.kind == "interface":
            return True
        # If one of the two types is unnamed, values are assignable when the underlying types are identical.
        mine, other = self.underlying or self.name, target.underlying or target.name
        return mine == other and not (self.underlying and target.underlying)

    def comparable(self) -> bool:
        """Return whether ``==`` is defined for all values of this type."""
        if self.kind == "struct":
            return all(field.type.comparable() for field in self.fields)
        return self.element().comparable() if self.kind == "array" else self.kind not in ("map", "slice")

    def zero(self) -> Raw:
        """Return the raw zero value (the Python form of Go's zero value) of this type."""
        if self.kind == "struct":
            return [field.type.zero() for field in self.fields]
        if self.kind == "array":
            return [self.element().zero() for _ in range(self.size)]
        if self.kind in INT_KINDS or self.kind in UINT_KINDS:
            return 0
        return _ZEROS.get(self.kind)

    def field_path(self, name: str) -> tuple[int, ...] | None:
        """Return the indexes that lead to the field ``name``, or None if the struct has no such field.

        A field of the struct itself has one index. Example: if the third field of the struct is an embedded struct,
        (2, 0) leads to the first field of the embedded struct.
        """
        if self.lookup is None:
            self.lookup = _field_paths(self)
        return self.lookup.get(name)

    def method(self, name: str, addressable: bool = False) -> Method | None:
        """Return the method with this name, or None if the type has no such method.

        If the value is ``addressable``, methods of the pointer type are included.
        """
        if self.kind == "ptr" and self.elem is not None:
            return self.elem.method(name, True)
        return self.methods.get(name) or (self.pointer_methods.get(name) if addressable else None)


class Method(NamedTuple):
    """A method of a Go type.

    - ``call``: the Python function. It gets the raw value (`Value.raw`) of the receiver, then the arguments in the form
      that `Function` describes.
    - ``params``: the types of the arguments
    - ``fault``: Go's error text if templates cannot call the method, else ""
    """

    call: Callable[..., Value | None]
    params: tuple[Type, ...] = ()
    fault: str = ""


class Value:
    """A typed value, like Go's reflect.Value; an invalid reflect.Value is represented by None."""

    __slots__ = ("addressable", "raw", "type")

    def __init__(self, type: Type, raw: Raw, addressable: bool = False) -> None:
        self.type = type
        self.raw = raw
        self.addressable = addressable

    def is_nil(self) -> bool:
        """Return whether this value is nil."""
        return self.raw is None and self.type.kind in _NILLABLE

    def dereferenced(self) -> Value | None:
        """Return the value that this pointer or interface refers to, or None if this pointer or interface is nil."""
        if self.type.kind == "interface":
            held: Value | None = self.raw
            return held
        return None if self.raw is None else Value(self.type.element(), self.raw, True)

    def length(self) -> int:
        """Return the length of a string, array, slice or map; a nil slice or map has length 0."""
        if self.raw is None:
            return 0
        return len(self.raw.items) if self.type.kind == "slice" else len(self.raw)

    def at(self, index: int) -> Value:
        """Return one element of an array, slice or string.

        Raises IndexError with the error text of Go's package reflect if the index is out of range.
        """
        kind = self.type.kind
        if not 0 <= index < self.length():
            raise IndexError(f"reflect: {kind} index out of range")
        items = self.raw.items if kind == "slice" else self.raw
        if kind == "string":
            return Value(UINT8, items[index])
        return Value(self.type.element(), items[index], kind == "slice" or self.addressable)

    def entry(self, key: Raw) -> Value | None:
        """Return a map's value for a raw key (the key in its Python form), or None if the key is missing."""
        if self.raw is None or key not in self.raw:
            return None
        return Value(self.type.element(), self.raw[key])

    def entries(self) -> Iterator[tuple[Value, Value]]:
        """Yield the keys and values of a map in the order of the keys, as Go's templates and fmt do."""
        assert self.type.key is not None
        for key in sorted(self.raw or ()):
            yield Value(self.type.key, key), Value(self.type.element(), self.raw[key])

    def field(self, index: int) -> Value:
        """Return a struct's field by index."""
        return Value(self.type.fields[index].type, self.raw[index], self.addressable)


def _field_paths(struct: Type) -> dict[str, tuple[int, ...]]:
    """Return a map from each field name of ``struct`` to the indexes that lead to the field (`Type.field_path`).

    The fields of embedded structs are included. An outer field hides an inner field with the same name. In Go a field
    name can be ambiguous, but Docker's structs have no ambiguous names.
    """
    paths: dict[str, tuple[int, ...]] = {}
    level: list[tuple[Type, tuple[int, ...]]] = [(struct, ())]
    while level:
        deeper = []
        for type_, path in level:
            for index, field in enumerate(type_.fields):
                paths.setdefault(field.name, (*path, index))
                if field.embedded:
                    target = field.type.element() if field.type.kind == "ptr" else field.type
                    deeper.append((target, (*path, index)))
        level = deeper
    return paths


def basic(kind: str, name: str = "", methods: Mapping[str, Method] | None = None) -> Type:
    """Return a boolean, number or string type; the name of the type is ``name``, or ``kind`` if ``name`` is "".

    ``kind`` is the kind in Go, such as "int64". ``methods`` has the type's methods by name.
    """
    type_ = Type(kind, name or kind)
    type_.methods = methods or {}
    return type_


def pointer_to(elem: Type) -> Type:
    """Return the type ``*elem``."""
    return Type("ptr", "*" + elem.name, elem)


def slice_of(elem: Type, name: str = "") -> Type:
    """Return the type ``[]elem``; with ``name``, a named type with this underlying type."""
    return _composite("slice", f"[]{elem.name}", name, elem)


def map_of(key: Type, elem: Type, name: str = "") -> Type:
    """Return the type ``map[key]elem``; with ``name``, a named type with this underlying type."""
    return _composite("map", f"map[{key.name}]{elem.name}", name, elem, key)


def array_of(size: int, elem: Type) -> Type:
    """Return the type ``[size]elem``."""
    type_ = _composite("array", f"[{size}]{elem.name}", "", elem)
    type_.size = size
    return type_


def _composite(kind: str, shape: str, name: str, elem: Type, key: Type | None = None) -> Type:
    type_ = Type(kind, name or shape, elem, key)
    type_.underlying = shape if name else ""
    return type_


ANY = Type("interface", "interface {}")
ANY_VALUE = Type("struct", "reflect.Value")
BOOL = basic("bool")
COMPLEX128 = basic("complex128")
FLOAT64 = basic("float64")
INT = basic("int")
INT64 = basic("int64")
STRING = basic("string")
UINT = basic("uint")
UINT8 = basic("uint8")
UINT16 = basic("uint16")
UINT64 = basic("uint64")
STRINGS = slice_of(STRING)


def string(data: bytes) -> Value:
    """Return ``data`` as a `Value` of Go's type string."""
    return Value(STRING, data)


def boolean(value: bool) -> Value:
    """Return ``value`` as a `Value` of Go's type bool."""
    return Value(BOOL, value)


def integer(value: int) -> Value:
    """Return ``value`` as a `Value` of Go's type int."""
    return Value(INT, value)


def indirect(value: Value | None) -> tuple[Value | None, bool]:
    """Follow pointers and interfaces; return the final value, and whether this final value is nil.

    A nil pointer or interface ends the search, and is the final value. A pointer to an opaque Python object is not
    followed. For None, the result is (None, False).
    """
    while value is not None and value.type.kind in ("ptr", "interface"):
        if value.raw is None:
            return value, True
        if value.type.kind == "ptr" and value.type.element().kind == "opaque":
            return value, False
        value = value.dereferenced()
    return value, False


def unwrap(value: Value | None) -> Value | None:
    """Return the value inside an interface, or None if the interface is nil; return any other value unchanged."""
    return value.raw if value is not None and value.type.kind == "interface" else value


def truth(value: Value | None) -> bool:
    """Return whether the template action ``if`` treats the value as true."""
    if value is None or value.raw is None:
        return False
    kind = value.type.kind
    if kind in ("array", "map", "slice", "string"):
        return value.length() > 0
    return True if kind in ("struct", "ptr", "interface", "opaque") else bool(value.raw)
