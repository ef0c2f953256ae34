"""A command that is executed in a container gets the environment variables that Docker 26.1.5 gives it."""

from __future__ import annotations

import pytest

from engine.model import ExecCreate
from engine.runtime.credentials import Identity
from engine.runtime.exec import exec_environment

DATA = ["HOME=/data", "TERM=dumb"]


@pytest.mark.parametrize(
    ("container", "tty", "requested", "expected"),
    [
        (DATA, True, [], {"HOME": "/data", "TERM": "dumb"}),
        (DATA, True, ["HOME=/q", "TERM=vt"], {"HOME": "/q", "TERM": "vt"}),
        (DATA, True, ["HOME", "TERM"], {"HOME": "/root", "TERM": "xterm"}),
        (DATA, True, ["HOME=", "TERM="], {"HOME": "/root", "TERM": ""}),
        (DATA, False, ["HOME", "TERM"], {"HOME": "/root"}),
        (["HOME="], False, [], {"HOME": "/root"}),
        ([], False, [], {"HOME": "/root"}),
        ([], True, [], {"HOME": "/root", "TERM": "xterm"}),
    ],
)
def test_home_and_term(container, tty, requested, expected):
    request = ExecCreate(cmd=["env"], env=requested, tty=tty)
    assert exec_environment({"env": container}, request, Identity(0, 0, [0], "/root")) == expected
