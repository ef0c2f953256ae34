"""The tests run ``hawse __complete`` on stores that they create, and check the offered names."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from cli.completion.sources import SOURCES
from cli.container.checks import PULL_CHOICES
from engine.model import (
    ContainerConfig,
    ContainerRecord,
    EndpointRecord,
    EndpointSettings,
    HostConfig,
    NetworkAttachment,
    NetworkRecord,
    PortRecord,
    PortSpec,
)
from engine.store.sqlite import SqliteStore
from tests.conftest import until

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
def test_each_source_offers_the_names_of_its_objects(complete, store, asked, expected):
    assert names(complete(*asked)) == expected


def test_published_ports_have_the_names_of_their_containers(complete, store, tmp_path):
    published = [PortRecord("tcp", "0.0.0.0", 8080, 8080, 80, 80), PortRecord("udp", "::", 53, 53, 53, 53)]
    with SqliteStore(tmp_path / "root" / "hawse.db").write() as tx:
        tx.put_endpoint(EndpointRecord(f"{9:064x}", f"{2:064x}", f"{1:064x}", "", phase="live", ports=published))
    assert complete("published-ports", "0") == ["8080\tweb", "53/udp\tweb"]
    assert complete("ports", "1", "web") == ["80/tcp\t0.0.0.0:8080", "53/udp\t[::]:53"]


def test_containers_are_described_by_image_and_state(complete, store):
    assert complete("containers", "0") == ["web\thostfs running", "old\thostfs exited"]


def test_names_that_cannot_be_typed_are_left_out_and_descriptions_are_escaped(complete, tmp_path):
    with SqliteStore(tmp_path / "root" / "hawse.db").write() as tx:
        for number, name in enumerate(
            ["a\x1b[2J", "b\u202e", "c\x9b", "d\ne", "f\tg", "-h", "--help", "$(i)", "j'k \"l"]
        ):
            tx.put_network(network(number, name))
        tx.put_container(replace(container(1, "web", "running", "app"), config=ContainerConfig("im\x1b[2Jage")))
    assert names(complete("networks", "0")) == ["$(i)", "j'k \"l"]
    assert complete("containers", "0") == ["web\tim\\u001b[2Jage running"]


def test_without_a_store_nothing_is_offered_and_no_file_is_created(complete, tmp_path):
    assert complete("networks", "0") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be taken for one" * 40])
def test_a_file_that_is_no_store_is_not_changed(complete, tmp_path, content):
    file = tmp_path / "root" / "hawse.db"
    file.parent.mkdir()
    file.write_bytes(content)
    assert complete("networks", "0") == []
    assert file.read_bytes() == content


@pytest.fixture
def settled(store, tmp_path):
    """Set the modification time of the store's log (WAL) to one hour ago, and return its path.

    Without a log, the database file is used. Completion then assumes that the store has not changed for an hour.
    """
    log = tmp_path / "root" / "hawse.db-wal"
    file = log if log.exists() else tmp_path / "root" / "hawse.db"
    then = file.stat().st_mtime_ns - 3600 * 10**9
    os.utime(file, ns=(then, then))
    return file


def kept(tmp_path) -> dict[str, str]:
    directory = tmp_path / "root" / "names"
    return {p.name: p.read_text() for p in directory.iterdir()} if directory.exists() else {}


def test_an_answer_is_saved_for_the_shells_with_the_modification_time_of_the_store(complete, settled, tmp_path):
    for arguments in (["networks+", "0"], ["running,images", "0"]):
        complete(*arguments)
    assert kept(tmp_path) == {
        "networks+": "host\thost\napp\tbridge\nplan\tbridge\n",
        "running,images": "web\thostfs running\n",
    }
    directory = tmp_path / "root" / "names"
    assert {p.stat().st_mtime_ns for p in directory.iterdir()} == {settled.stat().st_mtime_ns}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "asked",
    [["networks+", "1", "app"], ["members", "0"], ["environment", "0"], ["../x", "0"], ["networks,interfaces", "0"]],
    ids=" ".join,
)
def test_an_answer_that_depends_on_more_than_the_store_is_not_saved(complete, settled, tmp_path, asked):
    complete(*asked)
    assert kept(tmp_path) == {}


def test_an_answer_from_a_store_that_has_just_changed_is_not_saved(complete, store, tmp_path):
    later = time.time_ns() + 10**9
    for file in (tmp_path / "root").glob("hawse.db*"):
        os.utime(file, ns=(later, later))
    assert names(complete("networks", "0")) == ["host", "app", "plan"]
    assert kept(tmp_path) == {}


def test_environment_variables_are_offered_without_their_values(complete, monkeypatch):
    monkeypatch.setenv("SECRET_OF_MINE", "hush")
    assert "SECRET_OF_MINE\t" in complete("environment", "0")


def test_all_values_of_the_flag_pull_are_offered():
    assert set(SOURCES["pull"].words) == set(PULL_CHOICES) - {""}


def test_only_processes_of_other_namespaces_are_offered_with_their_names(complete):
    process = subprocess.Popen(["unshare", "-rn", "sleep", "60"])
    try:
        until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
        lines = complete("processes", "0")
    finally:
        process.kill()
        process.wait()
    assert f"{process.pid}\tsleep" in lines
    assert str(os.getpid()) not in names(lines)


def test_a_process_whose_name_is_not_utf_8_hides_no_name(complete):
    """Any user can start such a process."""
    renaming = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'\\xff'); time.sleep(60)"
    process = subprocess.Popen(["unshare", "-rn", sys.executable, "-c", renaming])
    try:
        until(lambda: Path(f"/proc/{process.pid}/comm").read_bytes() == b"\xff\n")
        lines = complete("processes", "0")
    finally:
        process.kill()
        process.wait()
    assert f"{process.pid}\t\\xff" in lines
