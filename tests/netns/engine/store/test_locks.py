"""hawse deletes a container's lock file together with the container.

The lock file is deleted even if a process is killed. It is also deleted if a process asks for the lock after the
container's deletion.
"""

import pytest

from engine.store.api import Intent, IntentKind
from engine.store.sqlite import SqliteStore
from tests.conftest import until

pytestmark = pytest.mark.netns

DEAD = "4194304:1"  # identity of a process that cannot exist: the pid is too large


def locks(host):
    return sorted(path.name for path in (host.run_dir / "locks").iterdir())


def test_a_removal_that_was_killed_is_finished_with_its_lock(host):
    container = host.hawse("run", "-d", "hostfs", "sleep", "99").stdout.strip()
    assert locks(host) == ["host"]
    with SqliteStore(host.root / "hawse.db").write() as tx:
        tx.put_intent(Intent(IntentKind.CONTAINER_REMOVE, container, DEAD))
    host.hawse("network", "create", "any")
    assert (host.hawse("ps", "-aq").stdout, locks(host)) == ("", ["host"])


def test_no_command_leaves_a_lock_behind(host):
    container = host.hawse("run", "-d", "--rm", "-p", "7000:70", "hostfs", "sleep", "99").stdout.strip()
    host.hawse("publish", container, "-p", "7001:71")
    waiting = host.popen(*host.launcher, "wait", container, env=host.env(), stdout=-1)
    host.hawse("stop", "-t0", container)
    waiting.communicate()
    until(lambda: host.hawse("ps", "-aq").stdout == "")
    until(lambda: locks(host) == ["host"])


def test_a_lock_of_a_removed_container_is_not_left_behind(host):
    container = host.hawse("create", "hostfs", "true").stdout.strip()
    host.hawse("rm", container)
    host.hawse("__exited", container)
    assert locks(host) == ["host"]
