"""The files of a removed container are deleted, even if the command is killed before it starts the deletion."""

import pytest

from engine.containers.directory import DISCARDED
from tests.conftest import until
from tests.netns.engine.killing import killed

pytestmark = pytest.mark.netns


def test_the_next_command_deletes_what_a_killed_removal_has_left(host):
    host.hawse("network", "create", "app")
    host.hawse("run", "-d", "--name", "web", "hostfs", "sleep", "1d")
    killed(host, "engine.containers.directory._delete", "rm", "-f", "web")
    assert len(list((host.root / "containers" / DISCARDED).iterdir())) == 1
    host.hawse("network", "create", "any")
    until(lambda: list((host.root / "containers" / DISCARDED).iterdir()) == [])
