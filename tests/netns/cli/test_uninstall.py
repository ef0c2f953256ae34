"""``system uninstall`` says how to remove what it leaves on the host."""

import sqlite3
from contextlib import closing

import pytest

from tests.commands import COLD

pytestmark = pytest.mark.netns

LEFT = (
    "Networks or containers of hawse remain on this host. To remove them, before hawse itself: hawse rm -f $(hawse ps "
    "-aq), then hawse network prune -f\n"
)
HIDDEN = 'mount -t tmpfs none /etc/systemd && exec "$0" "$@"'  # hides the systemd units of the test's machine


def uninstall(host, *flags):
    """Run ``system uninstall`` in a mount namespace with an empty /etc/systemd; return its output and errors."""
    hidden = ("unshare", "-m", "sh", "-ec", HIDDEN)
    done = host.run(*hidden, *COLD, "system", "uninstall", *flags, env=host.env(HAWSE_WARM="off"))
    return done.stdout, done.stderr


def test_the_commands_that_remove_networks_and_containers_are_named_while_there_are_any(host, tmp_path):
    assert uninstall(host) == ("", "")
    assert not (host.root / "hawse.db").exists()
    host.hawse("network", "create", "app")
    assert uninstall(host) == ("", LEFT)
    assert uninstall(host, "--root", str(tmp_path)) == ("", "")
    host.hawse("create", "--name", "web", "hostfs", "true")
    host.hawse("network", "prune", "-f")
    assert uninstall(host) == ("", LEFT)
    host.hawse("rm", "web")
    assert uninstall(host) == ("", "")
    with closing(sqlite3.connect(host.root / "hawse.db")) as store, store:
        store.execute("UPDATE networks SET body = 'damaged'")
    assert uninstall(host) == ("", "")
