"""External commands that keep a network namespace alive, and do not end."""

import pytest

from drivers.errors import Unsupported
from drivers.linux import persistent_netns


def test_a_command_that_hangs_is_an_error_of_the_driver(monkeypatch):
    monkeypatch.setattr(persistent_netns, "TIMEOUT", 0.1)
    with pytest.raises(Unsupported, match=r"^sleep 30 did not end within"):
        persistent_netns._run("sleep", "30")
