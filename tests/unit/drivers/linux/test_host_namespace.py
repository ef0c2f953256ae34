"""The interfaces in a network namespace decide whether hawse treats the namespace as a host's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivers.linux import host_namespace, link
from drivers.linux.link import Link

LOOPBACK = Link("lo", 1, "", "", "", 65536, up=True, is_loopback=True)


def interface(name: str, kind: str, **fields) -> Link:
    return Link(name, 2, kind, fields.pop("alias", ""), "02:42:00:00:00:01", 1500, up=True, **fields)


@pytest.mark.parametrize(
    ("device", "sign"),
    [
        (interface("eth0", "", device="virtio2"), "the machine's devices: eth0 (virtio2)"),
        (interface("wlan0", "wlan", device="phy0"), "the machine's devices: wlan0 (phy0)"),
        (interface("slip0", ""), "the machine's devices: slip0 (hardware)"),
        (
            interface("uplink", "macvlan", is_split=True),
            "interfaces whose parent is in another network namespace: uplink",
        ),
        (interface("eth0.5", "vlan", is_split=True), "interfaces whose parent is in another network namespace: eth0.5"),
        (interface("br-0", "bridge", alias="hawse network 12"), "networks of hawse: br-0"),
        (interface("veth1", "veth", alias="hawse endpoint 12", is_split=True), "networks of hawse: veth1"),
        (interface("eth0", "veth", is_split=True), None),
        (interface("eth0", "netkit", is_split=True), None),
        (interface("eth0", "macvlan", alias="hawse endpoint 12", is_split=True), None),
        (interface("eth0.5", "vlan"), None),
        (interface("br0", "bridge"), None),
        (interface("tun0", "tun"), None),
    ],
)
def test_devices_of_the_machine_are_a_sign_of_the_hosts_namespace(monkeypatch, device, sign):
    monkeypatch.setattr(link, "all_links", lambda _: [LOOPBACK, device])
    assert list(host_namespace._of_links()) == ([sign] if sign else [])


def test_three_of_many_devices_are_named(monkeypatch):
    many = [interface(f"eth{n}", "", device=f"pci{n}") for n in range(5)]
    monkeypatch.setattr(link, "all_links", lambda _: [LOOPBACK, *many])
    assert list(host_namespace._of_links()) == ["the machine's devices: eth0 (pci0), eth1 (pci1), eth2 (pci2) …"]


@pytest.fixture
def namespaces(tmp_path: Path) -> Path:
    """Return a directory that replaces /proc in the test. Plain files replace the namespace files."""
    for place in ("thread-self", "1", "7"):
        (tmp_path / place / "ns").mkdir(parents=True)
    for place in ("1", "7"):
        (tmp_path / place / "ns/net").touch()
    os.link(tmp_path / "7/ns/net", tmp_path / "thread-self/ns/net")
    return tmp_path


def test_a_namespace_is_identified_by_its_file_and_not_by_its_path(namespaces):
    os.link(namespaces / "1/ns/net", namespaces / "other")
    for path, signs in (
        ("7/ns/net", ["the network namespace of hawse itself"]),
        ("1/ns/net", ["the network namespace of PID 1"]),
        ("other", ["the network namespace of PID 1"]),
    ):
        with (namespaces / path).open() as opened:
            assert list(host_namespace._of_identity(opened.fileno(), namespaces)) == signs


def test_an_unreadable_namespace_of_pid_1_is_no_sign(namespaces):
    (namespaces / "stranger").touch()
    (namespaces / "1/ns/net").unlink()
    with (namespaces / "stranger").open() as opened:
        assert list(host_namespace._of_identity(opened.fileno(), namespaces)) == []
