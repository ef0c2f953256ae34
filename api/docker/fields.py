"""Typed reading of a JSON body by Go's rules: keys in any case, ``null`` like a missing key, unknown keys ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from api.docker.errors import ApiError, bad_request

_KINDS = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}


class Fields:
    """One JSON object of a request.

    ``name`` is the path of the object in Go's error texts, such as "ConnectOptions.EndpointConfig". ``embedded`` is the
    struct that Go embeds in the object. All simple fields of the object belong to that struct.
    """

    def __init__(self, values: Mapping[str, Any], name: str, embedded: str = "") -> None:
        self._values = {key.lower(): value for key, value in values.items() if value is not None}
        self._name, self._embedded = name, f"{name}.{embedded}" if embedded else name

    def has_other_than(self, *keys: str) -> bool:
        """Return whether the object has a value for another key than these."""
        return bool(self._values.keys() - {key.lower() for key in keys})

    def has(self, key: str) -> bool:
        """Return whether the object has a value for the key, apart from null."""
        return key.lower() in self._values

    def text(self, key: str) -> str:
        """Return a string; "" if the object has none."""
        return str(self._typed(key, str, "string", ""))

    def flag(self, key: str) -> bool:
        """Return a boolean; False if the object has none."""
        return bool(self._typed(key, bool, "bool", False))

    def optional_flag(self, key: str) -> bool | None:
        """Return a boolean, or None if the object has none."""
        return self.flag(key) if self.has(key) else None

    def number(self, key: str) -> int:
        """Return a whole number; 0 if the object has none."""
        value = self._values.get(key.lower(), 0)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._mismatch(key, value, "int64")
        return value

    def optional_number(self, key: str) -> int | None:
        """Return a whole number, or None if the object has none."""
        return self.number(key) if self.has(key) else None

    def texts(self, key: str) -> list[str] | None:
        """Return a list of strings, or None if the object has none."""
        if not self.has(key):
            return None
        values = self._typed(key, list, "[]string", [])
        return [self._is_text(key, value) for value in values]

    def words(self, key: str) -> list[str] | None:
        """Return a list of strings like `texts`; a single string becomes a list of one (Go's strslice)."""
        value = self._values.get(key.lower())
        return [value] if isinstance(value, str) else self.texts(key)

    def pairs(self, key: str) -> dict[str, str] | None:
        """Return a map of strings, or None if the object has none."""
        if not self.has(key):
            return None
        values = self._typed(key, dict, "map[string]string", {})
        return {name: self._is_text(key, "" if value is None else value) for name, value in values.items()}

    def keys(self, key: str) -> list[str]:
        """Return the keys of an object, such as of ExposedPorts."""
        return list(self._typed(key, dict, "map", {}))

    def child(self, key: str) -> Fields:
        """Return an object of the object; an empty one if there is none."""
        return Fields(self._typed(key, dict, "object", {}), f"{self._name}.{key}")

    def children(self, key: str) -> Sequence[Fields]:
        """Return a list of objects; empty if there is none."""
        name = f"{self._name}.{key}"
        return [self._object(key, value, name) for value in self._typed(key, list, "[]object", [])]

    def objects(self, key: str) -> Mapping[str, Fields]:
        """Return a map of objects, such as EndpointsConfig; a null value counts as an empty object."""
        name = f"{self._name}.{key}"
        values = self._typed(key, dict, "map", {})
        return {each: self._object(key, {} if value is None else value, name) for each, value in values.items()}

    def lists(self, key: str) -> Mapping[str, Sequence[Fields]]:
        """Return a map of lists of objects, such as PortBindings; a null list counts as an empty one."""
        values = self._typed(key, dict, "map", {})
        lists = Fields(values, f"{self._name}.{key}")
        return {each: lists.children(each) for each in values}

    def numbers(self, key: str) -> list[int]:
        """Return a list of whole numbers; empty if there is none."""
        values = self._typed(key, list, "[]uint", [])
        members = Fields({str(n): value for n, value in enumerate(values)}, key)
        return [members.number(str(n)) for n in range(len(values))]

    def value(self, key: str) -> Any:
        """Return a value of any type, or None if the object has none."""
        return self._values.get(key.lower())

    def truthy(self, *keys: str) -> Iterator[str]:
        """Yield those of the keys whose values are not empty (0, "", [] and {} count as empty)."""
        yield from (key for key in keys if self._values.get(key.lower()))

    def _object(self, key: str, value: Any, name: str) -> Fields:
        if not isinstance(value, dict):
            raise self._mismatch(key, value, "object")
        return Fields(value, name)

    def _typed(self, key: str, kind: type, go_type: str, default: Any) -> Any:
        value = self._values.get(key.lower(), default)
        if not isinstance(value, kind):
            raise self._mismatch(key, value, go_type)
        return value

    def _is_text(self, key: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self._mismatch(key, value, "string")
        return value

    def _mismatch(self, key: str, value: Any, go_type: str) -> ApiError:
        found, field = _KINDS.get(type(value), "null"), f"{self._embedded}.{key}"
        return bad_request(
            f"invalid JSON: json: cannot unmarshal {found} into Go struct field {field} of type {go_type}"
        )
