"""Read the fields of a request's body as typed values. `engine.golang.json_types` has decoded the body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class Fields:
    """One struct of a request's body, such as HostConfig.

    Its keys are Go's field names. Its values have the types of `api.docker.request_types`.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def has_other_than(self, *keys: str) -> bool:
        """Return whether the struct has a field that ``keys`` does not name; a field with null counts too."""
        return bool(self._values.keys() - set(keys))

    def has(self, key: str) -> bool:
        """Return whether the struct has the field with a value other than null."""
        return self._values.get(key) is not None

    def text(self, key: str) -> str:
        """Return the string in a field, or "" if the field is missing or null."""
        return str(self._values.get(key) or "")

    def flag(self, key: str) -> bool:
        """Return the boolean in a field, or False if the field is missing or null."""
        return bool(self._values.get(key))

    def optional_flag(self, key: str) -> bool | None:
        """Return the boolean in a field, or None if the field is missing or null."""
        return self._values.get(key)

    def number(self, key: str) -> int:
        """Return the whole number in a field, or 0 if the field is missing or null."""
        return int(self._values.get(key) or 0)

    def optional_number(self, key: str) -> int | None:
        """Return the whole number in a field, or None if the field is missing or null."""
        return self._values.get(key)

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return the list of strings in a field, or None if the field is missing or null."""
        value = self._values.get(key)
        return None if value is None else tuple(value)

    def pairs(self, key: str) -> dict[str, str] | None:
        """Return the map from strings to strings in a field, or None if the field is missing or null."""
        return self._values.get(key)

    def keys(self, key: str) -> list[str]:
        """Return the keys of the map in a field, such as the ports of ExposedPorts; [] if the field is missing."""
        return list(self._values.get(key) or ())

    def child(self, key: str) -> Fields:
        """Return the struct in a field, or an empty struct if the field is missing or null."""
        return Fields(self._values.get(key) or {})

    def children(self, key: str) -> Sequence[Fields]:
        """Return the list of structs in a field, or an empty list if the field is missing or null."""
        return [Fields(value or {}) for value in self._values.get(key) or ()]

    def objects(self, key: str) -> Mapping[str, Fields]:
        """Return the map of structs in a field, such as EndpointsConfig, or an empty map if the field is missing.

        If a value in the map is null, it counts as an empty struct.
        """
        return {each: Fields(value or {}) for each, value in (self._values.get(key) or {}).items()}

    def lists(self, key: str) -> Mapping[str, Sequence[Fields]]:
        """Return the map of lists of structs in a field, such as PortBindings, or {} if the field is missing.

        If a value in the map is null, it counts as an empty list.
        """
        values = self._values.get(key) or {}
        return {each: Fields(values).children(each) for each in values}

    def size(self, key: str) -> tuple[int, int]:
        """Return the rows and columns of a terminal from a field, or (0, 0) if the field is missing or null."""
        rows, columns = self._values.get(key) or (0, 0)
        return rows, columns

    def value(self, key: str) -> Any:
        """Return the value of a field, of any type, or None if the field is missing or null."""
        return self._values.get(key)

    def truthy(self, *keys: str) -> Iterator[str]:
        """Yield those of ``keys`` whose value is not empty; null, False, 0, "", [] and {} are empty."""
        yield from (key for key in keys if self._values.get(key))
