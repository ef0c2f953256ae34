"""Typed reading of a JSON body by Go's rules: keys in any case, ``null`` like a missing key, unknown keys ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from api.docker.errors import ApiError, bad_request

_KINDS = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}


class Fields:
    """One JSON object of a request. ``name`` is the path of the object in Go's error texts, such as "Config"."""

    def __init__(self, values: Mapping[str, Any], name: str) -> None:
        self._values = {key.lower(): value for key, value in values.items() if value is not None}
        self._name = name

    def has(self, key: str) -> bool:
        """Return whether the object has a value for the key, apart from null."""
        return key.lower() in self._values

    def text(self, key: str, default: str = "") -> str:
        """Return a string."""
        return str(self._typed(key, str, "string", default))

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a boolean."""
        return bool(self._typed(key, bool, "bool", default))

    def optional_flag(self, key: str) -> bool | None:
        """Return a boolean, or None if the object has none."""
        return self.flag(key) if self.has(key) else None

    def number(self, key: str, default: int = 0) -> int:
        """Return a whole number."""
        value = self._values.get(key.lower(), default)
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
        """Return a list of strings like `texts`; a single string counts as a list of one (Go's strslice)."""
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

    def items(self, key: str) -> Iterator[tuple[str, Any]]:
        """Yield the names and values of an object whose names the user chose."""
        yield from self._typed(key, dict, "map", {}).items()

    def objects(self, key: str) -> Mapping[str, Fields]:
        """Return a map of objects, such as EndpointsConfig; a null value counts as an empty object."""
        name = f"{self._name}.{key}"
        values = self._typed(key, dict, "map", {})
        return {each: self._object(key, {} if value is None else value, name) for each, value in values.items()}

    def is_truthy(self, *keys: str) -> Iterator[str]:
        """Yield those of the keys whose values are not empty (0, "", [] and {} are empty)."""
        for key in keys:
            if self._values.get(key.lower()):
                yield key

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
        found = _KINDS.get(type(value), "null")
        return bad_request(
            f"invalid JSON: json: cannot unmarshal {found} into Go struct field {self._name}.{key} of type {go_type}"
        )
