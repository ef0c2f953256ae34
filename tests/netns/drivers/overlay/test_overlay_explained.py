"""The commands that hawse explains for an overlay network make the same devices and tables in a fresh namespace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from drivers import firewall
from drivers.explain.recorder import CommandRecorder
from drivers.linux import netns, recording
from drivers.model import Sandbox
from tests.conftest import COUNTER, Netns
from tests.netns.cli.replay import rerun, state

pytestmark = pytest.mark.netns


class At:
    """A namespace that has a path but no name. `state` accepts it instead of a `Netns`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        entered = ["nsenter", f"--net={self.path}", *argv]
        return subprocess.run(entered, check=True, capture_output=True, text=True, timeout=30)


@pytest.fixture
def fresh() -> Iterator[Callable[[], Netns]]:
    made: list[Netns] = []

    def make() -> Netns:
        made.append(Netns(f"hwt{os.getpid()}f{next(COUNTER)}"))
        made[-1].run("ip", "link", "set", "lo", "down")
        return made[-1]

    yield make
    for namespace in made:
        namespace.delete()


def recorded(host, act: Callable[[], object]) -> str:
    recording.recorder = recorder = netns.run_in_netns(host.path, CommandRecorder)
    try:
        act()
    finally:
        recording.recorder = None
    return "".join(f"{command}\n" for command in recorder.commands)


def without_namespace(text: str) -> str:
    """Return ``text`` without the commands that make the overlay's namespace, because the test makes its own."""
    commands = ("touch ", "unshare ", "umount ", "kill ")
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(commands))


def test_the_explained_commands_make_the_same_overlay(cluster, fresh):
    o1 = cluster.network("o1", "10.0.0.0/20", "fd00:1::/64")
    here, endpoint, namespace = o1.members[0], o1.endpoint(), cluster.namespace()
    here.act("delete_network")
    here.here(firewall.teardown)
    here.peers = [o1.made_up_peer(1), o1.made_up_peer(2)]

    def act() -> None:
        here.act("create_network")
        here.act("join", endpoint, Sandbox(namespace, f"/run/netns/{namespace}"), "eth0")
        here.program()
        here.remove_peer(here.peers[0])

    text, overlay = recorded(here.host, act), here.place.sandbox.path
    assert "unshare --net" in text  # the command is only a comment if a process, and not a mount, keeps the namespace
    again, copies = fresh(), {}
    rerun(without_namespace(text), again, copies, fresh)
    originals = {overlay: At(overlay), f"/run/netns/{namespace}": At(f"/run/netns/{namespace}")}
    assert copies.keys() == originals.keys()
    for path, copy in copies.items():
        assert state(copy) == state(originals[path]), path
    assert state(again)["rules"] == state(here.host)["rules"]
    text = recorded(here.host, lambda: here.act("delete_network"))
    rerun(without_namespace(text), again, copies, fresh)
    assert state(again)["rules"] == state(here.host)["rules"]
    assert not any(name.startswith(("br", "vxlan")) for name in state(copies[overlay])["links"])
