"""The record of the default bridge: an error while it is made keeps its class, hint and text."""

from __future__ import annotations

import pytest

from engine.config import Config
from engine.errors import Conflict, Damaged, hinted
from engine.host import Host
from engine.networks import create, predefined
from engine.runtime.local import LocalRuntime
from engine.store.sqlite import SqliteStore


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (hinted(Conflict("no room"), "Free some."), "no room"),
        (Damaged("the store is damaged"), "the store is damaged (run: hawse system check --repair)"),
    ],
)
def test_an_error_of_the_default_bridge_keeps_all_but_the_beginning_of_its_text(tmp_path, monkeypatch, error, text):
    def fail(*_):
        raise error

    monkeypatch.setattr(create, "allocate_pools", fail)
    host = Host(tmp_path, tmp_path, Config(), SqliteStore(tmp_path / "hawse.db"), LocalRuntime(tmp_path, tmp_path))
    with pytest.raises(type(error)) as raised:
        predefined.record(host)
    assert str(raised.value) == f'error creating default "bridge" network: {text}'
    assert raised.value.hint == error.hint
