"""The template functions index, slice and len, with Go's rules for indexes and map keys."""

from __future__ import annotations

from cli.gotemplate.errors import Fault
from cli.gotemplate.gotypes import INT_KINDS, UINT_KINDS, Raw, Slice, Type, Value, indirect, slice_of, unwrap


def _index_number(index: Value | None, limit: int) -> int:
    if index is None:
        raise Fault("cannot index slice/array with nil")
    if index.type.kind not in INT_KINDS and index.type.kind not in UINT_KINDS:
        raise Fault(f"cannot index slice/array with type {index.type}")
    number: int = index.raw
    if not 0 <= number <= limit:
        raise Fault(f"index out of range: {number}")
    return number


def _map_key(index: Value | None, key: Type) -> Raw:
    if index is None:
        if not key.can_be_nil():
            raise Fault(f"value is nil; should be of type {key}")
        return None
    if not index.type.assignable_to(key):
        raise Fault(f"value has type {index.type}; should be {key}")
    return index.raw


def _item(item: Value, index: Value | None) -> Value:
    kind = item.type.kind
    if kind in ("array", "slice", "string"):
        try:
            return item.at(_index_number(index, item.length()))
        except IndexError as error:
            raise Fault(str(error)) from None
    if kind == "map" and item.type.key is not None:
        entry = item.entry(_map_key(index, item.type.key))
        return entry if entry is not None else Value(item.type.element(), item.type.element().zero())
    raise Fault(f"can't index item of type {item.type}")


def index(item: Value | None, *indexes: Value | None) -> Value:
    """Return ``item[i][j]…``; raises Fault if ``item`` cannot be indexed in this way.

    A missing map key gives the zero value of the map's element type.
    """
    current = unwrap(item)
    if current is None:
        raise Fault("index of untyped nil")
    for number in indexes:
        target, is_nil = indirect(current)
        if is_nil or target is None:
            raise Fault("index of nil pointer")
        current = _item(target, unwrap(number))
    return current


def _capacity(item: Value) -> int:
    return item.length() + (item.raw.spare if item.type.kind == "slice" and item.raw is not None else 0)


def _check_order(low: int, high: int) -> None:
    if low > high:
        raise Fault(f"invalid slice index: {low} > {high}")


def slice_value(item: Value | None, *indexes: Value | None) -> Value:
    """Return ``item[i:j:k]`` for a string, slice or array; raises Fault if ``item`` cannot be sliced in this way.

    ``indexes`` are i, j and k; the last ones may be missing. The default of i is 0, of j the length, and of k the
    capacity. A string takes no k.
    """
    target = unwrap(item)
    if target is None:
        raise Fault("slice of untyped nil")
    if len(indexes) > 3:
        raise Fault(f"too many slice indexes: {len(indexes)}")
    kind = target.type.kind
    if kind == "string" and len(indexes) == 3:
        raise Fault("cannot 3-index slice a string")
    if kind not in ("string", "array", "slice"):
        raise Fault(f"can't slice item of type {target.type}")
    capacity = _capacity(target)
    bounds = [0, target.length(), capacity]
    for position, number in enumerate(indexes):
        bounds[position] = _index_number(number, capacity)
    _check_order(bounds[0], bounds[1])
    if len(indexes) == 3:
        _check_order(bounds[1], bounds[2])
    return _cut(target, *bounds)


def _cut(target: Value, low: int, high: int, capacity: int) -> Value:
    if target.type.kind == "string":
        return Value(target.type, target.raw[low:high])
    if target.type.kind == "array":
        if not target.addressable:
            raise Fault("reflect.Value.Slice: slice of unaddressable array")
        return Value(slice_of(target.type.element()), Slice(target.raw[low:high], capacity - high))
    if target.raw is None:
        return Value(target.type, None)
    items = target.raw.items[low:high]
    items += [target.type.element().zero() for _ in range(high - low - len(items))]
    return Value(target.type, Slice(items, capacity - high))


def length(item: Value | None) -> int:
    """Return the length of a string, array, slice or map; raises Fault for other values."""
    target, is_nil = indirect(item)
    if is_nil:
        raise Fault("len of nil pointer")
    if target is None:
        raise Fault("reflect: call of reflect.Value.Type on zero Value")
    if target.type.kind not in ("array", "map", "slice", "string"):
        # `indirect` does not follow a pointer to an opaque object. Go follows it, and names the type without ``*``.
        raise Fault(f"len of type {str(target.type).removeprefix('*')}")
    return target.length()
