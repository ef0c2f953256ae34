"""hawse gives a container's process the rights that Docker 26.1.5 gives it."""

from __future__ import annotations

import pytest

from engine.runtime import credentials, syscalls


@pytest.mark.parametrize(
    ("add", "drop", "mask"),
    [
        (["NET_ADMIN"], ["NET_ADMIN"], 0xA80435FB),
        (["NET_RAW"], ["ALL", "NET_RAW"], 0x2000),
        (["CHOWN"], ["ALL", "NET_RAW"], 0x1),
        (["ALL"], ["NET_RAW"], 0x1FFFFFFDFFF),
        (["ALL", "NET_RAW"], ["NET_RAW"], 0x1FFFFFFDFFF),
        (["ALL"], ["ALL"], 0x1FFFFFFFFFF),
        (["chown"], ["cap_chown"], 0xA80425FB),
        ([], ["chown"], 0xA80425FA),
    ],
)
def test_an_added_capability_is_not_dropped_but_all_added_ones_are(monkeypatch, add, drop, mask):
    monkeypatch.setattr(syscalls, "permitted_capabilities", lambda: 0x1FFFFFFFFFF)
    assert f"{credentials.capability_mask(add, drop, privileged=False):x}" == f"{mask:x}"
