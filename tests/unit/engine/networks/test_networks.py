"""For every request, the list of network summaries has the same networks as the list of full records."""

from __future__ import annotations

import pytest

from engine.config import Config
from engine.errors import EngineError
from engine.host import Host
from engine.model import NetworkRecord
from engine.names import natural_key
from engine.networks import query
from engine.runtime.local import LocalRuntime
from engine.store.sqlite import SqliteStore

CREATED = "2026-11-23T22:43:00.5Z"
RECORDS = [
    NetworkRecord("b" * 64, "bridge", CREATED, "bridge", predefined=True, phase="planned", options={}, labels={}),
    NetworkRecord("0" * 64, "none", CREATED, "null", predefined=True),
    NetworkRecord("10" * 32, "n10", CREATED, "bridge", labels={"a": "b", "c": ""}),
    NetworkRecord("20" * 32, "n2", CREATED, "macvlan", labels={"a": "b"}),
    NetworkRecord("30" * 32, "n1", CREATED, "overlay", scope="swarm", phase="planned"),
    NetworkRecord("40" * 32, "网络", CREATED, "bridge", config_only=True),
    NetworkRecord("50" * 32, "being-made", CREATED, "bridge", phase="creating", labels={"a": "b"}),
    NetworkRecord("60" * 32, "being-removed", CREATED, "bridge", phase="removing", labels={"a": "b"}),
]


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setenv("HAWSE_RUN", str(tmp_path))
    store = SqliteStore(tmp_path / "hawse.db")
    with store.write() as tx:
        for record in RECORDS:
            tx.put_network(record)
    return Host(tmp_path, tmp_path, Config(), store, LocalRuntime(tmp_path, tmp_path))


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"label": ("a=b",)},
        {"label": ("a", "c")},
        {"label": ("zz",)},
        {"label": ("a=b",), "driver": ("bridge",)},
        {"label": ()},
        {"driver": ("bridge", "null")},
        {"name": ("^n[0-9]",)},
        {"id": ("10",)},
        {"scope": ("swarm",)},
        {"type": ("builtin",)},
        {"type": ("custom",), "scope": ("local",)},
        {"dangling": ("true",)},
        {"dangling": ("0",)},
        {"name": ("nobody",)},
    ],
)
def test_summaries_have_the_same_networks_as_full_records(host, filters):
    documents = query.list_documents(host, filters)
    documents.sort(key=lambda document: natural_key(document["Name"]))
    brief = query.list_summaries(host, filters)
    assert [(n.id, n.name, n.driver, n.scope) for n in brief] == [
        (d["Id"], d["Name"], d["Driver"], d["Scope"]) for d in documents
    ]


@pytest.mark.parametrize(
    "filters",
    [{"foo": ("x",)}, {"type": ("x",)}, {"dangling": ("x",)}, {"label": ("a",), "until": ("1h",)}],
)
def test_a_bad_filter_gives_the_same_error_in_both_lists(host, filters):
    texts = set()
    for listed in (query.list_documents, query.list_summaries):
        with pytest.raises(EngineError) as refused:
            listed(host, filters)
        texts.add(str(refused.value))
    assert len(texts) == 1
