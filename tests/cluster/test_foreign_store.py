"""A cluster uses an etcd that the user runs.

hawse then starts no etcd itself. Everything else works as in other clusters.
"""

import os
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from engine.cluster.membership import AUTHORITY_KEY, STORE_FILES, load
from engine.swarm import pki
from tests.cluster.conftest import FAILS_LATE, KILLED_LATE, eventually, processes_of

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def store(cluster):
    """The URL of an etcd on the hosts' virtual wire, and the directory of its certificates."""
    where = cluster.directory / "store"
    with etcd(cluster, where) as url:
        yield url, where


def files(where):
    """Return the flags of swarm init for the certificates in ``where``."""
    return ("--cacert", str(where / "ca.pem"), "--cert", str(where / "client.pem"), "--key", str(where / "client.key"))


@contextmanager
def etcd(cluster, where):
    """Run an etcd on the hosts' virtual wire; yield its URL. It uses TLS and requires client certificates.

    ``where`` is the directory that the function creates for the certificates and the data.
    """
    where.mkdir(parents=True)
    authority_key, key, client_key = pki.new_key(), pki.new_key(), pki.new_key()
    authority = pki.new_authority(authority_key)
    texts = {
        "ca.pem": authority,
        "server.pem": pki.issue(authority, authority_key, pki.request(key), "store", ["192.168.99.99"]),
        "server.key": key,
        "client.pem": pki.issue(authority, authority_key, pki.request(client_key), "user"),
        "client.key": client_key,
    }
    for name, text in texts.items():
        (where / name).write_text(text)
    url = "https://192.168.99.99:2379"
    process = cluster.peer.popen(
        "etcd", "--data-dir", str(where / "data"), "--listen-client-urls", url, "--advertise-client-urls", url,
        "--listen-peer-urls", "http://127.0.0.1:2380", "--initial-advertise-peer-urls", "http://127.0.0.1:2380",
        "--initial-cluster", "default=http://127.0.0.1:2380", "--client-cert-auth",
        "--trusted-ca-file", str(where / "ca.pem"), "--cert-file", str(where / "server.pem"),
        "--key-file", str(where / "server.key"), "--log-level", "error",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield url
    process.kill()
    process.wait()


def test_hosts_share_an_etcd_that_the_user_runs(cluster, store):
    url, where = store
    first = cluster.add_host()
    init = ("swarm", "init", "--advertise-addr", first.underlay, "--store", url)
    eventually(lambda: "certificate" in first.hawse(*init, check=False).stderr, 20)
    assert "too late" in first.hawse(*init, *files(where), code=FAILS_LATE, check=False).stderr
    assert first.hawse(*init, *files(where), code=KILLED_LATE, check=False).returncode
    first.hawse(*init, *files(where))
    second = cluster.join()
    assert not any(line.startswith("etcd") or "/etcd " in line for h in cluster.hosts for line in processes_of(h))
    first.hawse("network", "create", "-d", "overlay", "--attachable", "app")
    first.start("c1", "app")
    second.start("c2", "app")
    eventually(lambda: first.reaches("c1", "c2") and second.reaches("c2", "c1"))
    assert first.hawse("node", "ls", "-q").stdout.count("\n") == 2
    known, names = load(second.root), {path.name for path in (second.root / "cluster").iterdir()}
    assert not known.urls and not known.password, "a worker is not told how the store is reached"
    assert not names & {*STORE_FILES, AUTHORITY_KEY}


LEAVE_KILLED = """import os
from engine.swarm import swarm
swarm.daemons.stop = lambda *_: os.kill(os.getpid(), 9)
"""
KILLED_AFTER_ENTRY = """import os
from engine.swarm import swarm
swarm.wait_until_open = lambda *_: os.kill(os.getpid(), 9)
"""


def joined_after_a_killed_init(fresh, url: str, where):
    """Let a host create a cluster with a command that is killed in its last step, and a second manager join it.

    Returns both hosts and the command.
    """
    first = fresh.add_host()
    init = ("swarm", "init", "--advertise-addr", first.underlay, "--store", url, *files(where))
    assert first.hawse(*init, code=KILLED_AFTER_ENTRY, check=False).returncode
    second = fresh.add_host()
    join = ("swarm", "join", "--token", fresh.token("manager"), f"{first.underlay}:2377")
    eventually(lambda: second.hawse(*join, check=False).returncode == 0)  # the agent starts the manager's server
    return first, second, init


def test_a_killed_leave_does_not_delete_the_cluster_of_the_other_hosts(fresh):
    """The leaving host created the cluster with a command that was killed in its last step."""
    where = fresh.directory / "store"
    with etcd(fresh, where) as url:
        first, second, init = joined_after_a_killed_init(fresh, url, where)
        assert first.hawse("swarm", "leave", "--force", code=LEAVE_KILLED, check=False).returncode
        refused = first.hawse(*init, check=False)
        assert "the store holds a cluster already" in refused.stderr
        assert second.hawse("node", "ls", "-q").stdout.count("\n") == 2


UNREACHABLE = "tcp dport 2379"
CUT_LATE = """import subprocess
from engine.errors import Unavailable
from engine.swarm import swarm

def fail(*_):
    rules = "chain c { type filter hook output priority 0; tcp dport 2379 drop; }"
    subprocess.run(["nft", f"table inet cut {{ {rules}; }}"], check=True)
    raise Unavailable("too late")

swarm._enter = fail
"""
"""A program for `Host.hawse` that cuts the host off from the store and lets ``swarm init`` fail in its last step."""


def test_the_records_of_a_killed_or_failed_init_are_deleted_when_the_store_answers_again(fresh):
    where = fresh.directory / "store"
    with etcd(fresh, where) as url:
        first = fresh.add_host()
        init = ("swarm", "init", "--advertise-addr", first.underlay, "--store", url, *files(where))
        assert first.hawse(*init, code=KILLED_LATE, check=False).returncode
        with first.dropping("output", UNREACHABLE):
            for command in (init, init[:4]):
                refused = first.hawse(*command, check=False).stderr
                assert f"may have left records in the store {url}, which cannot be deleted now: " in refused
                assert f"rm {first.root}/cluster/creating.json" in refused
        assert "too late" in first.hawse(*init, code=CUT_LATE, check=False).stderr
        first.run("nft", "delete", "table", "inet", "cut")
        first.hawse(*init)
        assert first.hawse("node", "ls", "-q").stdout.count("\n") == 1


def test_the_user_can_leave_the_records_of_a_killed_init_in_a_store_that_is_lost(fresh):
    where = fresh.directory / "store"
    with etcd(fresh, where) as url:
        first = fresh.add_host()
        init = ("swarm", "init", "--advertise-addr", first.underlay)
        store = ("--store", url, *files(where))
        assert first.hawse(*init, *store, code=KILLED_LATE, check=False).returncode
        with first.dropping("output", UNREACHABLE):
            (first.root / "cluster" / "creating.json").unlink()
            first.hawse(*init)
        first.hawse("swarm", "leave", "--force")
        refused = first.hawse(*init, *store, check=False).stderr
        assert "the store holds a cluster already" in refused
        assert "etcdctl del --prefix /hawse/" in refused


def test_an_init_does_not_delete_the_records_of_a_cluster_that_another_host_has_joined(fresh):
    """The membership record of the first host is lost after an init that was killed in its last step."""
    where = fresh.directory / "store"
    with etcd(fresh, where) as url:
        first, second, init = joined_after_a_killed_init(fresh, url, where)
        (first.root / "cluster" / "membership.json").unlink()
        assert "the store holds a cluster already" in first.hawse(*init, check=False).stderr
        assert second.hawse("node", "ls", "-q").stdout.count("\n") == 2


def test_a_store_without_https_or_with_an_untrusted_certificate_is_refused(cluster, store):
    stranger = cluster.add_host()
    init = ("swarm", "init", "--advertise-addr", stranger.underlay, "--store")
    for url in ("http://root:secret@192.168.99.99:2399", "unix:///x", "ftp://192.168.99.99", "root:secret@[::1"):
        refused = stranger.hawse(*init, url, check=False)
        assert "must be https://HOST" in refused.stderr and "secret" not in refused.stderr
    refused = stranger.hawse(*init, "https://root:secret@192.168.99.99:2379", check=False)  # the host lacks the CA
    assert "certificate" in refused.stderr and not (stranger.root / "cluster").exists()


def test_another_cluster_in_the_same_store_is_refused(cluster, store):
    url, where = store
    stranger = cluster.add_host()
    init = ("swarm", "init", "--advertise-addr", stranger.underlay, "--store", url)
    refused = stranger.hawse(*init, *files(where), check=False)
    assert "the store holds a cluster already" in refused.stderr
    assert not (stranger.root / "cluster").exists()


def test_a_removed_host_that_keeps_running_leaves_nothing_in_the_store(cluster):
    first, second = cluster.hosts[:2]
    node = second.hawse("info", "-f", "{{.Swarm.NodeID}}").stdout.strip()
    first.hawse("node", "rm", "--force", node)
    os.kill(second.agent_pid(), signal.SIGKILL)  # a new agent compares this host's state with the etcd store
    refused = second.hawse("run", "-d", "--name", "c3", "--network", "app", "hostfs", "true", check=False)
    assert "This node has been removed from the swarm" in refused.stderr
    eventually(second.agent_pid)
    time.sleep(1)
    first.hawse("rm", "-f", "c1")
    assert first.tool("-", "residue") == []
    first.hawse("network", "rm", "app")
    assert first.hawse("node", "ls", "-q").stdout.count("\n") == 1
