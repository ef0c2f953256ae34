"""Filters of ``node ls`` work as in Docker. Unknown filters give Docker's error texts."""

from __future__ import annotations

import pytest

from engine.errors import EngineError
from engine.filters.nodes import filter_nodes


def node(identity: str, name: str, role: str) -> dict:
    return {"ID": identity, "Description": {"Hostname": name}, "Spec": {"Role": role}}


NODES = [node("aa1", "one", "manager"), node("aa2", "two", "worker"), node("bb3", "twelve", "worker")]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, ["aa1", "aa2", "bb3"]),
        ({"id": ["aa"]}, ["aa1", "aa2"]),
        ({"id": ["aa1", "bb"]}, ["aa1", "bb3"]),
        ({"name": ["tw"], "id": ["aa"]}, ["aa2"]),
        ({"role": ["worker"]}, ["aa2", "bb3"]),
        ({"membership": ["accepted"]}, ["aa1", "aa2", "bb3"]),
        ({"membership": ["pending"]}, []),
        ({"label": ["a=b"]}, []),
        ({"node.label": ["a"]}, []),
    ],
)
def test_nodes_match_by_a_prefix_of_id_or_name_and_by_role(filters, ids):
    assert [n["ID"] for n in filter_nodes(NODES, filters)] == ids


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ({"nosuch": ["x"]}, "invalid filter 'nosuch'"),
        ({"engine.label": ["x"]}, "invalid filter 'engine.label'"),
        ({"role": ["foo"]}, "Invalid role filter: 'foo'"),
        ({"membership": ["bar"]}, "Invalid membership filter: 'bar'"),
    ],
)
def test_unknown_keys_and_values_are_refused(filters, text):
    with pytest.raises(EngineError) as raised:
        filter_nodes(NODES, filters)
    assert str(raised.value) == text
