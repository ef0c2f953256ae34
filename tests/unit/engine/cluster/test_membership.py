"""The tests check the saved record of a host's membership, and how long a manager prefers another manager's URL."""

from __future__ import annotations

import os
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from engine.cluster.keys import LAYOUT
from engine.cluster.membership import directory, load, locked, preferred_url, save, update, write_private
from engine.cluster.model import MANAGER, ClusterMembership
from engine.host import MEMBERSHIP_FILE

HOUR = 3600.0
MEMBERSHIP = ClusterMembership("cluster", "node", MANAGER, "192.0.2.1", "192.0.2.1", layout=LAYOUT)


@pytest.mark.parametrize(
    ("age", "url"), [(0.0, "https://other"), (HOUR, ""), (-HOUR, "")], ids=["new", "old", "the clock was set back"]
)
def test_a_manager_uses_the_saved_url_for_a_limited_time(tmp_path, age, url):
    saved = tmp_path / "preferred"
    saved.write_text("https://other")
    os.utime(saved, (time.time() - age,) * 2)
    assert preferred_url(saved, MEMBERSHIP) == url


def test_a_change_does_not_bring_back_a_record_that_another_thread_deletes(tmp_path):
    directory(tmp_path).mkdir()
    save(directory(tmp_path), MEMBERSHIP)

    def delete() -> None:
        with locked(tmp_path):
            (directory(tmp_path) / MEMBERSHIP_FILE).unlink()

    deleting = threading.Thread(target=delete)

    def change(known: ClusterMembership) -> ClusterMembership:
        deleting.start()
        time.sleep(0.2)  # time in which the other thread would delete the record without a lock
        return replace(known, managers=("192.0.2.2:2377",))

    changed = update(tmp_path, change)
    deleting.join()
    assert changed is not None
    assert load(tmp_path) is None
    assert update(tmp_path, lambda known: known) is None


def test_a_host_without_cluster_directory_has_no_membership_to_change(tmp_path):
    assert update(tmp_path, lambda known: known) is None


def test_several_threads_write_the_same_file(tmp_path):
    path = tmp_path / "preferred"
    texts = [str(number) * 1000 for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: [write_private(path, text) for _ in range(50)], texts))
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "preferred"
    write_private(path, "before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_private(path, "afterwards")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
