"""Filters of prune give the results of dockerd 26.1.5."""

import time

import pytest

from engine.errors import EngineError, InvalidArgument
from engine.filters.prune import check_image_prune, check_prune, container_prunable, network_prunable
from engine.model import ContainerConfig, ContainerRecord, HostConfig, NetworkRecord

CREATED = "2026-11-23T22:43:00.5Z"


def network(labels=None):
    return NetworkRecord("a" * 64, "n1", CREATED, "bridge", labels=labels)


@pytest.mark.parametrize(
    ("key", "values", "text"),
    [
        ("foo", ["x"], "invalid filter 'foo'"),
        ("dangling", ["true"], "invalid filter 'dangling'"),
        ("until", ["1h", "2h"], "more than one until filter specified"),
        ("until", ["bogus"], 'failed to parse value as time or duration: "bogus"'),
        ("until", [], "invalid filter 'until'"),
    ],
)
def test_a_bad_prune_filter_is_refused(key, values, text):
    with pytest.raises(InvalidArgument) as caught:
        check_prune({key: values})
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("key", "values", "status", "text"),
    [
        ("dangling", ["x"], 400, "invalid filter 'dangling=[x]'"),
        ("dangling", ["true", "0"], 400, "invalid filter 'dangling=[true 0]'"),
        ("dangling", [], 400, "invalid filter 'dangling'"),
        ("until", ["x"], 500, 'failed to parse value as time or duration: "x"'),
    ],
)
def test_a_bad_filter_of_image_prune_is_refused(key, values, status, text):
    with pytest.raises(EngineError) as caught:
        check_image_prune({key: values})
    assert (caught.value.status, str(caught.value)) == (status, text)


@pytest.mark.parametrize(
    ("filters", "prunable"),
    [
        ({}, True),
        ({"label": ["a"]}, True),
        ({"label": ["zz"]}, False),
        ({"label!": ["a"]}, False),
        ({"label!": ["zz"]}, True),
        ({"label!": ["a", "zz"]}, True),
        ({"until": ["2020-01-01"]}, False),
        ({"until": ["2099-01-01T00:00:00Z"]}, True),
    ],
)
def test_prune_filters_select_what_is_removed(filters, prunable):
    record = ContainerRecord("a" * 64, "c", CREATED, ContainerConfig("bb", labels={"a": "b"}), HostConfig())
    assert network_prunable(network(labels={"a": "b"}), filters) is prunable
    assert container_prunable(record, filters) is prunable


def test_until_counts_back_from_now(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1795473780.5 + 600)  # ten minutes after the network was created
    assert network_prunable(network(), {"until": ["9m"]})
    assert not network_prunable(network(), {"until": ["11m"]})
