"""A manager saves the URL of another manager that answered, and tries its own etcd member again after a while."""

from __future__ import annotations

import os
import time

import pytest

from engine.cluster.membership import preferred_url
from engine.cluster.model import MANAGER, ClusterMembership

HOUR = 3600.0


@pytest.mark.parametrize(
    ("age", "url"), [(0.0, "https://other"), (HOUR, ""), (-HOUR, "")], ids=["new", "old", "the clock was set back"]
)
def test_a_manager_uses_the_saved_url_for_a_limited_time(tmp_path, age, url):
    saved = tmp_path / "preferred"
    saved.write_text("https://other")
    os.utime(saved, (time.time() - age,) * 2)
    manager = ClusterMembership("cluster", "node", MANAGER, "192.0.2.1", "192.0.2.1")
    assert preferred_url(saved, manager) == url
