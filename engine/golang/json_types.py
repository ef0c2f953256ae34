"""Decode JSON into Go types, by the rules and with the error texts of Go's encoding/json.

Keys match in any case, and unknown keys are ignored. ``null`` leaves a scalar unchanged, and empties every other value.
For a repeated key, the last value counts, but objects and the members of lists are merged. A value of a wrong type does
not end the decoding, and the error names the first such value in the document. The texts are those of Go 1.24, with
which Docker 26.1.5 in Debian is built.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod

TYPE_CHECKING = False
# Only type checkers make these imports. The containers' supervisor uses this module and must use little memory.
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_FOLDS = {0x17F: "s", 0x212A: "k"}
"""The two characters outside ASCII that Go counts as forms of ASCII letters: the long s and the Kelvin sign."""


class Pairs(tuple[tuple[str, object], ...]):
    """A JSON object as the document has it: its keys and values in order, with repeated keys.

    The class is no subclass of list, because a list represents a JSON array.
    """


_KINDS = {bool: "bool", str: "string", list: "array", Pairs: "object"}


def kind(value: Any) -> str:
    """Return Go's name for the kind of a JSON value that is not null."""
    return _KINDS.get(type(value), "number")


def compact(value: Any) -> str:
    """Return a JSON value as JSON text without white space."""
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{compact(key)}:{compact(each)}" for key, each in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return value.text if isinstance(value, Literal) else json.dumps(value, ensure_ascii=False)


class Literal:
    """A JSON number with a fraction, an exponent or more than 24 characters; ``text`` is the number as written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Slice(list[object]):
    """A decoded JSON array: the first ``length`` values of ``memory``.

    A document may repeat a key. As in Go, a later array of the key overwrites the memory of the earlier array. If the
    later array is shorter, ``memory`` keeps the remaining values of the earlier one. A third array is merged into all
    values of ``memory``, including these.
    """

    def __init__(self, memory: list[Any], length: int) -> None:
        super().__init__(memory[:length])
        self.memory = memory


class Mismatch(ValueError):
    """A value has a wrong type. The text is the text of Go's error."""


class Place:
    """The position of a value in a JSON document, for error texts.

    ``struct`` is the name of the innermost struct that contains the value. ``fields`` are the names of the fields that
    lead to the value. Both are empty for the document itself.
    """

    __slots__ = ("fields", "struct")

    def __init__(self, struct: str = "", fields: tuple[str, ...] = ()) -> None:
        self.struct, self.fields = struct, fields

    def mismatch(self, value_kind: str, go_type: str) -> Mismatch:
        """Return the error for a value that does not fit the Go type ``go_type``.

        ``value_kind`` is the kind of the value, such as "array" or "number 1.5".
        """
        where = f"struct field {self.struct}.{'.'.join(self.fields)}" if self.fields else "value"
        return Mismatch(f"json: cannot unmarshal {value_kind} into Go {where} of type {go_type}")


class GoType(ABC):
    """A Go type, which decodes JSON values. ``name`` is its name in error texts.

    ``zero`` is the value for ``null`` in a list or a map.
    """

    name: str

    def document(self, value: Any) -> dict[str, Any]:
        """Return the content of a whole document of this type (a struct or a map), or {} for the document ``null``.

        None in the result stands for ``null`` in the document. Raises `Mismatch` for the first value that does not fit
        this type.
        """
        errors: list[Mismatch] = []
        result: dict[str, Any] = {} if value is None else self.decode(value, Place(), errors, {})
        if errors:
            raise errors[0]
        return result

    zero: Any = None
    """The value for ``null`` in a list or a map.

    In a struct, a key may occur twice, with ``null`` as its second value. The first value is then deleted if `zero` is
    None, and kept otherwise.
    """

    def decode(self, value: Any, place: Place, errors: list[Mismatch], before: Any) -> Any:
        """Return the Python value for a JSON value that is not null.

        ``place`` is the position of the value, for the error text. For a value of a wrong type, the method adds an
        error to ``errors`` and returns ``before``. The caller passes as ``before``:

        - In a struct: the value of the same key earlier in the document.
        - In a list: the member of an earlier list of the same key, or `zero`.
        - In a map: `zero`.
        """
        if self._fits(value):
            return self._converted(value, place, errors, before)
        errors.append(place.mismatch(kind(value), self.name))
        return before

    @abstractmethod
    def _fits(self, value: Any) -> bool:
        """Return whether a JSON value is of the kind that this Go type accepts, such as a string or a list."""

    def _converted(self, value: Any, place: Place, errors: list[Mismatch], before: Any) -> Any:
        return value


class Text(GoType):
    """A string."""

    zero = ""

    def __init__(self, name: str = "string") -> None:
        self.name = name

    def _fits(self, value: Any) -> bool:
        return isinstance(value, str)


class Bool(GoType):
    """A boolean."""

    name, zero = "bool", False

    def _fits(self, value: Any) -> bool:
        return isinstance(value, bool)


class Int(GoType):
    """A whole number of ``bits`` bits; if ``signed`` is False, it may not be negative."""

    zero = 0

    def __init__(self, name: str, bits: int = 64, *, signed: bool = True) -> None:
        self.name = name
        self._range = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)

    def _fits(self, value: Any) -> bool:
        return isinstance(value, int | Literal) and not isinstance(value, bool)

    def _converted(self, value: Any, place: Place, errors: list[Mismatch], before: Any) -> Any:
        low, high = self._range
        if isinstance(value, int) and low <= value <= high:
            return value
        errors.append(place.mismatch(f"number {value.text if isinstance(value, Literal) else value}", self.name))
        return before


class ListOf(GoType):
    """A Go slice, or a Go array if ``length`` is given.

    ``item`` is the type of the members. An array has ``length`` members: later members of the document are ignored.
    Members that the document lacks get the value `zero` of ``item``.
    """

    def __init__(self, item: GoType, name: str = "", length: int | None = None) -> None:
        self.item, self._length, self.name = item, length, name or f"[]{item.name}"

    def _fits(self, value: Any) -> bool:
        return isinstance(value, list)

    def _converted(self, value: Any, place: Place, errors: list[Mismatch], before: Any) -> Any:
        zero, given = self.item.zero, value[: self._length]
        # If the document repeats a key, the later array is merged into the earlier one, which is changed in place.
        # Copies would take too long for thousands of repetitions.
        memory = before.memory if before else []
        memory += [zero] * (len(given) - len(memory))
        for index, each in enumerate(given):
            if each is not None:
                memory[index] = self.item.decode(each, place, errors, memory[index])
            elif zero is None:
                memory[index] = None
        if self._length is not None:
            memory[len(given) :] = [zero] * (self._length - len(given))
        return Slice(memory, self._length or len(given))


class Pointer(GoType):
    """A pointer to a value of the type ``target``; ``null`` sets the pointer to None.

    A `Struct` needs no `Pointer`, because ``null`` by default sets a struct to None too.
    """

    def __init__(self, target: GoType) -> None:
        self.name, self._target = target.name, target

    def _fits(self, value: Any) -> bool:
        return True

    def _converted(self, value: Any, place: Place, errors: list[Mismatch], before: Any) -> Any:
        return self._target.decode(value, place, errors, before)


class MapOf(GoType):
    """A map with strings as keys, and values of the type ``item``."""

    def __init__(self, item: GoType, name: str = "") -> None:
        self.item, self.name = item, name or f"map[string]{item.name}"

    def _fits(self, value: Any) -> bool:
        return isinstance(value, Pairs)

    def _converted(self, value: Any, place: Place, errors: list[Mismatch], before: Any) -> Any:
        # If the document repeats a key, the later object is merged into the earlier one, which is changed in place.
        result = {} if before is None else before
        for key, each in value:
            zero = self.item.zero
            result[key] = zero if each is None else self.item.decode(each, place, errors, zero)
        return result


class Words(GoType):
    """Docker's strslice.StrSlice: a list of strings, or one string."""

    name = "string"

    def _fits(self, value: Any) -> bool:
        texts = isinstance(value, list) and all(isinstance(each, str | None) for each in value)
        return texts or isinstance(value, str)

    def _converted(self, value: Any, place: Place, errors: list[Mismatch], before: Any) -> Any:
        return [value] if isinstance(value, str) else [each or "" for each in value]


class Anything(GoType):
    """A value that is not used; only its syntax is checked."""

    name = "interface {}"

    def _fits(self, value: Any) -> bool:
        return True


class Struct(GoType):
    """A Go struct. ``name`` has the package, such as "network.IPAM".

    The fields of the structs ``embedded`` count as fields of this struct. Error texts name such a field together with
    its embedded struct. ``null`` empties a struct, because most are pointers. With ``is_value``, ``null`` leaves the
    struct unchanged.
    """

    def __init__(self, name: str, fields: Mapping[str, GoType], *embedded: Struct, is_value: bool = False) -> None:
        self.name, self._short = name, name.rpartition(".")[2]
        self.zero = {} if is_value else None
        self.fields: dict[str, tuple[str, tuple[str, ...], GoType]] = {}
        for inner in embedded:
            for key, (field, field_path, kind) in inner.fields.items():
                self.fields[key] = field, (inner._short, *field_path), kind
        for field, kind in fields.items():
            self.fields[field.lower()] = field, (field,), kind

    def _fits(self, value: Any) -> bool:
        return isinstance(value, Pairs)

    def _converted(self, value: Any, place: Place, errors: list[Mismatch], before: Any) -> Any:
        result = dict(before or {})
        for key, each in value:
            known = self.fields.get(key.translate(_FOLDS).lower())
            if known is None:
                continue
            field, field_path, kind = known
            if each is None:
                result[field] = None if kind.zero is None else result.get(field)
            else:
                inner = Place(self._short, (*place.fields, *field_path))
                result[field] = kind.decode(each, inner, errors, result.get(field))
        return result
