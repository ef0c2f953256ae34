"""The path of a connected namespace may belong to an unprivileged user, who can put any file there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivers.errors import Missing
from drivers.linux.namespaces import open_namespace
from drivers.linux.netns import netns_fd
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop
from engine.eventloop.netns import PinnedNamespace

OWN = "/proc/self/ns/net"


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    os.mkfifo(tmp_path / "fifo")
    return str(tmp_path / "fifo")


def test_a_namespace_is_opened_through_a_symbolic_link(tmp_path):
    (tmp_path / "ns").symlink_to(OWN)
    opened = open_namespace(str(tmp_path / "ns"))
    assert os.path.samestat(os.fstat(opened), os.stat(OWN))
    assert not os.get_inheritable(opened)
    os.close(opened)


@pytest.mark.parametrize("path", ["/dev/null", "/missing", __file__])
def test_another_file_is_no_namespace(path):
    with pytest.raises(FileNotFoundError):
        open_namespace(path)


def test_a_fifo_does_not_block(fifo):
    with pytest.raises(Missing), netns_fd(fifo):
        pass


def test_a_fifo_does_not_block_the_agent(fifo):
    loop = Loop()
    with pytest.raises(FileNotFoundError):
        PinnedNamespace(loop, Inotify(loop), fifo, lambda: None)
    loop.close()
