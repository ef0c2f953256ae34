"""hawse works on all arguments of a command together, and reports a result for each argument, as Docker does."""

import errno
import json
import os
import re
import threading

import pytest

from drivers.bridge import BridgeDriver
from drivers.errors import KernelError
from drivers.linux import netns as namespaces
from engine.core import open_engine
from engine.model import IPAMConfig, NetworkCreate
from engine.store.locks import locked
from engine.store.sqlite import SqliteStore
from tests.conftest import until
from tests.netns.engine.killing import killed, unwritable

pytestmark = pytest.mark.netns

NAMES = ("w1", "w2", "w3")  # no hexadecimal digits, because such a name could be the prefix of a container's id
MISSING = "Error response from daemon: No such container: {}\n"


@pytest.fixture
def crowd(shared_host):
    """A host with three containers on the networks app and zoo; each publishes a port."""
    for network in ("app", "zoo"):
        shared_host.hawse("network", "create", network)
    for number, name in enumerate(NAMES):
        options = ("--network", "app", "--network", "zoo", "-p", f"{7000 + number}:80")
        shared_host.hawse("run", "-d", "--name", name, *options, "hostfs", "sleep", "1d")
    return shared_host


def left(host):
    """Return the remaining objects of containers: links, firewall elements, processes, files, records and intents."""
    with SqliteStore(host.root / "hawse.db").read() as reader:
        records = [*reader.containers(), *reader.endpoints(), *reader.intents()]
    files = [path.name for place in ("containers", "netns") for path in (host.run_dir / place).glob("*")]
    locks = [path.name for path in (host.run_dir / "locks").glob("container-*")]
    links = [line for line in host.sh("ip -br link").splitlines() if line.startswith("veth")]
    table = host.sh("nft list table inet hawse").splitlines()
    ports = [line for line in table if re.search(r"\b700\d\b|siblings", line)]
    return [*records, *files, *locks, *links, *(port for port in ports if "elements" in port)]


def test_each_container_has_its_own_outcome_in_the_order_of_the_arguments(crowd):
    done = crowd.hawse("rm", "-f", "w3", "nosuch", "w1", "w3", "w2")
    assert done.stdout == "w3\nw1\nw2\n"
    assert done.stderr == MISSING.format("nosuch") + MISSING.format("w3")
    assert left(crowd) == []


def test_rm_removes_the_stopped_containers_and_refuses_the_running_one(crowd):
    crowd.hawse("stop", "-t0", "w1", "w3")
    done = crowd.hawse("rm", "w1", "w2", "w3", check=False)
    assert (done.returncode, done.stdout) == (1, "w1\nw3\n")
    assert 'cannot remove container "/w2": container is running' in done.stderr
    assert crowd.hawse("ps", "-a", "--format", "{{.Names}}").stdout == "w2\n"
    assert json.loads(crowd.hawse("inspect", "w2").stdout)[0]["State"]["Running"]


def test_a_container_that_another_command_has_locked_is_waited_for(crowd):
    busy = crowd.hawse("inspect", "-f", "{{.Id}}", "w2").stdout.strip()
    done = []
    removing = threading.Thread(target=lambda: done.append(crowd.hawse("rm", "-f", *NAMES)))
    with locked(crowd.run_dir, "container", busy):
        removing.start()
        until(lambda: crowd.hawse("ps", "-aq").stdout.count("\n") == 1)
    removing.join()
    assert done[0].stdout == "w1\nw2\nw3\n"
    assert left(crowd) == []


@pytest.mark.parametrize(
    "where",
    [
        "engine.endpoints.sandbox.dismiss_all_siblings",
        "drivers.linux.link.delete_all",
        "engine.runtime.local.LocalRuntime.delete",
        "engine.containers.directory.remove",
    ],
)
def test_the_next_command_finishes_a_killed_removal_of_many(crowd, where):
    processes = crowd.container_processes()
    killed(crowd, where, "rm", "-f", *NAMES)
    crowd.hawse("network", "create", "any")
    until(lambda: left(crowd) == [])
    assert not [pid for pid in processes if os.path.exists(f"/proc/{pid}/cwd")]


def test_container_prune_counts_what_it_removed(crowd):
    crowd.hawse("stop", "-t0", "w1", "w3")
    pruned = crowd.hawse("container", "prune", "-f").stdout
    assert pruned.startswith("Deleted Containers:\n") and pruned.count("\n") == 5
    assert crowd.hawse("ps", "-a", "--format", "{{.Names}}").stdout == "w2\n"


def test_each_network_has_its_own_outcome_in_the_order_of_the_arguments(shared_host):
    for name in ("n1", "n2", "n3"):
        shared_host.hawse("network", "create", name)
    shared_host.hawse("run", "-d", "--name", "web", "--network", "n2", "hostfs", "sleep", "1d")
    done = shared_host.hawse("network", "rm", "n3", "nosuch", "n2", "n1", "n3", check=False)
    assert (done.returncode, done.stdout) == (1, "n3\nn1\n")
    lines = done.stderr.splitlines()
    assert lines[0] == "Error response from daemon: network nosuch not found"
    assert "network n2 id" in lines[1] and lines[1].endswith("has active endpoints")
    assert lines[2] == "Error response from daemon: network n3 not found"
    assert shared_host.sh("ip -br link show type bridge").count("br-") == 1


def test_prune_keeps_used_objects_and_removes_all_others(shared_host):
    shared_host.hawse("network", "create", "used")
    shared_host.hawse("run", "-d", "--name", "web", "--network", "used", "hostfs", "sleep", "1d")
    before = shared_host.sh("ip -br link show type bridge; nft list table inet hawse")
    for name in ("n1", "n2", "n10"):
        shared_host.hawse("network", "create", name)
    assert shared_host.hawse("network", "prune", "-f").stdout == "Deleted Networks:\nn1\nn2\nn10\n\n"
    until(lambda: shared_host.sh("ip -br link show type bridge; nft list table inet hawse") == before)


def test_the_next_command_finishes_a_killed_prune(shared_host):
    for name in ("n1", "n2", "n3"):
        shared_host.hawse("network", "create", name)
    killed(shared_host, "drivers.firewall.table.change", "network", "prune", "-f")
    shared_host.hawse("network", "create", "any")
    assert shared_host.hawse("network", "ls", "-qf", "type=custom").stdout.count("\n") == 1
    assert shared_host.sh("ip -br link show type bridge").count("br-") == 1


def test_prune_fails_if_the_store_cannot_be_written(shared_host):
    shared_host.hawse("network", "create", "n1")
    done = unwritable(shared_host, "engine.networks.remove.remove_each", "network", "prune", "-f")
    assert (done.returncode, done.stdout) == (1, "")
    assert "hawse.db cannot be read or written" in done.stderr
    assert shared_host.hawse("network", "prune", "-f").stdout == "Deleted Networks:\nn1\n\n"


def test_an_error_of_one_network_does_not_affect_others(host, monkeypatch):
    """The driver cannot delete n2. If n2 is among several networks, the driver deletes none of them in this call."""
    for name, value in host.env().items():
        monkeypatch.setenv(name, value)
    delete, ids = BridgeDriver.delete_networks, []

    def refuse(driver, networks):
        if ids[1] in [network.id for network in networks]:
            raise KernelError("delete", "n2", errno.EBUSY)
        delete(driver, networks)

    def inside():
        networks = open_engine().networks
        ids.extend(networks.create(NetworkCreate(name)).id for name in ("n1", "n2", "n3"))
        monkeypatch.setattr(BridgeDriver, "delete_networks", refuse)
        return list(networks.remove_each(["n1", "n2", "n3"]))

    first, second, third = namespaces.run_in_netns(host.path, inside)
    assert (first, third) == (None, None)
    assert "n2" in str(second)
    assert host.sh("ip -br link show type bridge").count("br-") == 1


RETIRED = 60


def create_many(monkeypatch, host):
    """Create many networks on a host, one of them with a bridge name that the user chose."""
    for name, value in host.env().items():
        monkeypatch.setenv(name, value)

    def create():
        networks = open_engine().networks
        for number in range(RETIRED):
            networks.create(NetworkCreate(f"n{number}", ipam_config=[IPAMConfig(f"10.9.{number}.0/24")]))
        networks.create(NetworkCreate("named", options={"com.docker.network.bridge.name": "mine"}))

    namespaces.run_in_netns(host.path, create)


def bridges(host):
    return host.sh("ip -br link show type bridge").count("br-")


def test_the_bridges_of_many_networks_are_deleted_after_the_command(shared_host, monkeypatch):
    create_many(monkeypatch, shared_host)
    before = set(shared_host.sh("ip -br link show type bridge up").split())
    assert len(shared_host.hawse("network", "prune", "-f").stdout.splitlines()) == RETIRED + 3
    up = set(shared_host.sh("ip -br link show type bridge up").split())
    assert not {word for word in up & before if word.startswith(("br-", "mine"))}
    assert "10.9." not in shared_host.sh("ip route; nft list table inet hawse")
    shared_host.hawse("network", "create", "--subnet", "10.9.1.0/24", "n1")
    until(lambda: bridges(shared_host) == 1, 30)
    with SqliteStore(shared_host.root / "hawse.db").read() as reader:
        assert reader.intents() == []


def test_a_command_deletes_the_bridges_if_the_process_that_does_so_is_killed(shared_host, monkeypatch):
    create_many(monkeypatch, shared_host)
    killed(shared_host, "engine.recovery.recover.finish_in_background", "network", "prune", "-f")
    assert bridges(shared_host) == RETIRED
    shared_host.hawse("network", "create", "any")
    until(lambda: bridges(shared_host) == 1, 30)
    with SqliteStore(shared_host.root / "hawse.db").read() as reader:
        assert reader.intents() == []


def test_a_killed_prune_of_many_networks_is_finished_in_the_background_too(shared_host, monkeypatch):
    create_many(monkeypatch, shared_host)
    killed(shared_host, "drivers.linux.link.take_down", "network", "prune", "-f")
    shared_host.hawse("network", "create", "any")
    assert shared_host.hawse("network", "ls", "-qf", "type=custom").stdout.count("\n") == 1
    until(lambda: bridges(shared_host) == 1, 30)
