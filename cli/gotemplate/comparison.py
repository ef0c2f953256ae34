"""The comparison functions of templates (eq, ne, lt, le, gt, ge), with Go's rules for the types of their arguments."""

from __future__ import annotations

from typing import Any

from cli.gotemplate.budget import Budget
from cli.gotemplate.errors import Fault
from cli.gotemplate.formats import sprintf
from cli.gotemplate.gotypes import INT_KINDS, UINT_KINDS, Value, unwrap
from cli.gotemplate.text import decode

_BASIC = {"bool": "bool", "string": "string", "float64": "float", "complex128": "complex"}
_BASIC |= dict.fromkeys(INT_KINDS, "int") | dict.fromkeys(UINT_KINDS, "uint")
_INTEGERS = ("int", "uint")


def _basic_kind(value: Value | None) -> str:
    return "" if value is None else _BASIC.get(value.type.kind, "")


def _is_nil(value: Value | None) -> bool:
    return value is None or value.is_nil()


def _shown(value: Value, verb: bytes = b"%s") -> str:
    return decode(sprintf(verb, [value], Budget()))


def _same_other(left: Value | None, right: Value | None) -> bool:
    """Return whether two values are equal; neither of them is a number, a string or a boolean.

    None and nil values equal each other, and no other value. Raises Fault if the values cannot be compared.
    """
    if left is not None and right is not None and left.type.kind != right.type.kind:
        other = _shown(right, b"%v")
        raise Fault(f"non-comparable types {_shown(left)}: {left.type}, {right.type}: {other}")
    if left is None or right is None or _is_nil(left) or _is_nil(right):
        return _is_nil(left) == _is_nil(right)
    if not right.type.comparable():
        raise Fault(f"non-comparable type {_shown(right)}: {right.type}")
    if right.type.kind == "ptr":
        return left.type.name == right.type.name and left.raw is right.raw
    return left.type.name == right.type.name and bool(left.raw == right.raw)


def _same(left: Value | None, right: Value | None) -> bool:
    kind, other = _basic_kind(left), _basic_kind(right)
    if kind != other and not (kind in _INTEGERS and other in _INTEGERS):
        if left is not None and right is not None:
            raise Fault("incompatible types for comparison")
        return False
    if kind and left is not None and right is not None:
        return bool(left.raw == right.raw)
    return _same_other(left, right)


def equal(left: Value | None, *rights: Value | None) -> bool:
    """Return whether ``left`` equals one of ``rights``; raises Fault if their types cannot be compared.

    Also raises Fault if ``rights`` is empty.
    """
    if not rights:
        raise Fault("missing argument for comparison")
    left = unwrap(left)
    return any(_same(left, unwrap(right)) for right in rights)


def less(left: Value | None, right: Value | None) -> bool:
    """Return whether ``left`` is less than ``right``; raises Fault if their types have no order."""
    left, right = unwrap(left), unwrap(right)
    kind, other = _basic_kind(left), _basic_kind(right)
    if left is None or right is None or not kind or not other:
        raise Fault("invalid type for comparison")
    if kind != other and not (kind in _INTEGERS and other in _INTEGERS):
        raise Fault("incompatible types for comparison")
    if kind in ("bool", "complex"):
        raise Fault("invalid type for comparison")
    a: Any = left.raw
    return bool(a < right.raw)


def less_or_equal(left: Value | None, right: Value | None) -> bool:
    """Return whether ``left`` is less than or equal to ``right``; raises Fault if their types have no order."""
    return less(left, right) or equal(left, right)
