"""A service of the agent computes again only what depends on changed records."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from engine.agent.service import ResultCache


class Record(NamedTuple):
    """A record with an id, as the records of the store."""

    id: str
    text: str


class Lengths:
    """A function that records its calls. It returns the length of the record's text times two factors, or None for 0.

    For the text ``broken``, it raises ValueError.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, record: Record, value: int, factor: int) -> int | None:
        self.calls.append(record.id)
        if record.text == "broken":
            raise ValueError
        return len(record.text) * value * factor or None


def test_only_results_of_changed_inputs_are_computed_and_only_different_ones_are_returned():
    function = Lengths()
    cache, one, two = ResultCache(function), Record("1", "a"), Record("2", "bb")
    assert cache.update([(one, 1), (two, 1)], 10) == {"1": 10, "2": 20}
    assert cache.update([(one, 1), (two, 1)], 10) == {}
    assert function.calls == ["1", "2"]
    assert cache.update([(one, 3), (Record("2", "cc"), 1)], 10) == {"1": 30}, "the second result is equal"
    assert function.calls == ["1", "2", "1", "2"]
    assert cache.update([(one, 3), (two, 1)], 20) == {"1": 60, "2": 40}, "another shared value"
    assert cache.results == {"1": 60, "2": 40}


def test_results_of_deleted_records_and_missing_results_are_deleted():
    cache, one, two = ResultCache(Lengths()), Record("1", "a"), Record("2", "bb")
    cache.update([(one, 1), (two, 1)], 10)
    assert cache.update([(Record("1", ""), 1)], 10) == cache.results == {}
    assert cache.update([(one, 1)], 10) == {"1": 10}


def test_nothing_changes_if_the_function_fails():
    cache, one = ResultCache(Lengths()), Record("1", "a")
    cache.update([(one, 1)], 10)
    for _ in range(2):
        with pytest.raises(ValueError):
            cache.update([(Record("1", "ccc"), 1), (Record("2", "broken"), 1)], 10)
        assert cache.results == {"1": 10}
    assert cache.update([(Record("1", "ccc"), 1)], 10) == {"1": 30}
