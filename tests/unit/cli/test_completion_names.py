"""``hawse __complete`` on stores of this test's making."""

from __future__ import annotations

import pytest

from engine.model import (
    ContainerConfig,
    ContainerRecord,
    EndpointSettings,
    HostConfig,
    NetworkAttachment,
    NetworkRecord,
    PortSpec,
)
from engine.store.sqlite import SqliteStore

CREATED = "2026-01-02T03:04:05Z"


def network(number: int, name: str, driver: str = "bridge", **more) -> NetworkRecord:
    return NetworkRecord(f"{number:064x}", name, CREATED, driver, **more)


def container(number: int, name: str, status: str, network_name: str) -> ContainerRecord:
    return ContainerRecord(
        f"{number:064x}", name, CREATED, ContainerConfig("hostfs", labels={"tier": name}),
        HostConfig(port_bindings=[PortSpec("tcp", 80)]), [NetworkAttachment(network_name, EndpointSettings())],
        status=status,
    )  # fmt: skip


@pytest.fixture
def complete(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("HAWSE_ROOT", str(tmp_path / "root"))

    def run(*argv: str) -> list[str]:
        result = cli("__complete", *argv)
        assert (result.code, result.err) == (0, "")
        return result.out.split("\n")[:-1]

    return run


@pytest.fixture
def store(tmp_path):
    with SqliteStore(tmp_path / "root" / "hawse.db").write() as tx:
        tx.put_network(network(1, "host", "host", predefined=True))
        tx.put_network(network(2, "app"))
        tx.put_network(network(3, "with\nbreak"))
        tx.put_network(network(4, "plan", config_only=True))
        tx.put_container(container(1, "web", "running", "app"))
        tx.put_container(container(2, "old", "exited", "host"))


def names(lines: list[str]) -> list[str]:
    return [line.partition("\t")[0] for line in lines]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["networks", "0"], ["host", "app", "plan"]),
        (["networks+", "1", "app"], ["host", "plan"]),
        (["custom-networks", "0"], ["app", "plan"]),
        (["joinable-networks", "0"], ["app"]),
        (["config-networks", "0"], ["plan"]),
        (["connectable-networks", "0"], ["app"]),
        (["used-networks", "0"], ["host", "app"]),
        (["used-networks", "0", "web"], ["app"]),
        (["members", "1", "app"], ["web"]),
        (["strangers", "1", "app"], ["old"]),
        (["running", "0"], ["web"]),
        (["stopped", "0"], ["old"]),
        (["running+,stopped+", "0"], ["web", "old"]),
        (["ports", "1", "web"], ["80/tcp"]),
        (["container-labels", "0"], ["tier=old", "tier=web"]),
        (["members", "1", "nosuch"], []),
        (["nosuch", "0"], []),
        (["networks", "x"], []),
        (["containers", "1", "--", "-x"], ["web", "old"]),
    ],
    ids=" ".join,
)
def test_names(complete, store, asked, expected):
    assert names(complete(*asked)) == expected


def test_descriptions(complete, store):
    assert complete("containers", "0") == ["web\thostfs running", "old\thostfs exited"]


def test_without_a_store_nothing_is_said_and_nothing_made(complete, tmp_path):
    assert complete("networks", "0") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be taken for one" * 40])
def test_a_file_that_is_no_store_stays_as_it_is(complete, tmp_path, content):
    file = tmp_path / "root" / "hawse.db"
    file.parent.mkdir()
    file.write_bytes(content)
    assert complete("networks", "0") == []
    assert file.read_bytes() == content


def test_environment_names_come_without_their_values(complete, monkeypatch):
    monkeypatch.setenv("SECRET_OF_MINE", "hush")
    assert "SECRET_OF_MINE\t" in complete("environment", "0")
