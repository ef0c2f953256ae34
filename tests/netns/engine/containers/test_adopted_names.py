"""An adopted namespace has a name in DNS, in its own resolv.conf, and on the command line."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import COUNTER, Netns, new_host, until

pytestmark = pytest.mark.netns
IDLE = "ip link set lo up; exec sleep 1d"
READ = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone())"
FULL_DISK = """
import os, subprocess
from pathlib import Path
from types import SimpleNamespace
from engine.containers import namespace_files
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", "/etc/netns"], check=True)
own = Path("/etc/netns/lab/resolv.conf")
own.parent.mkdir()
own.write_text("nameserver 10.9.8.7")
try:
    Path("/etc/netns/other").write_bytes(bytes(1 << 20))
except OSError:
    record, host = SimpleNamespace(sandbox_path="/run/netns/lab"), SimpleNamespace(root=Path("/nowhere"))
    for _ in range(2):
        try:
            namespace_files.write(host, record, "nameserver 127.0.0.11")
        except OSError as error:
            print(error.errno)
    namespace_files.restore(host, record)
    print(own.read_text(), os.listdir(own.parent))
"""
STATUS = "SELECT json_extract(body, '$.status') FROM containers WHERE adopted"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A host with the network app and the container web on it."""
    with new_host(tmp_path_factory.mktemp("adopted"), ipv6=True) as host:
        host.hawse("network", "create", "--subnet", "172.30.0.0/16", "app")
        host.hawse("run", "-d", "--name", "web", "--network", "app", "hostfs", "sleep", "1d")
        yield host


@pytest.fixture
def lab():
    """A namespace of `ip netns` that no other program uses."""
    namespace = Netns(f"hwt{os.getpid()}l{next(COUNTER)}")
    yield namespace
    namespace.delete()


def resolved(host, container, name):
    """Return the address that a program in a container gets for a name."""
    return host.hawse("exec", container, "getent", "hosts", name, check=False).stdout.partition(" ")[0]


def test_names_work_both_ways_and_in_each_form_of_the_reference(host, lab):
    host.hawse("network", "connect", "app", f"netns:/var/run/netns/{lab.name}")
    assert lab.run("getent", "hosts", "web").stdout.split() == ["172.30.0.2", "web"]
    assert resolved(host, "web", lab.name) == "172.30.0.3"
    assert resolved(host, f"netns:{lab.name}", "web") == "172.30.0.2"
    references = (lab.name, f"netns:{lab.name}", f"netns:/run/netns/{lab.name}")
    assert host.hawse("inspect", "-f", "{{.Name}}", *references).stdout == f"/netns:{lab.name}\n" * 3
    host.hawse("publish", lab.name, "-p", "8080:80")
    assert host.hawse("port", lab.name, "80/tcp").stdout.startswith("0.0.0.0:8080\n")
    joined = host.hawse("run", "--rm", "--network", f"container:{lab.name}", "hostfs", "ip", "-br", "addr")
    assert "172.30.0.3/16" in joined.stdout
    host.hawse("exec", "-d", lab.name, "sleep", "1h")
    until(lambda: subprocess.run(["ip", "netns", "pids", lab.name], capture_output=True).stdout)
    host.hawse("network", "disconnect", "app", lab.name)
    assert not os.path.exists(f"/etc/netns/{lab.name}")


def test_the_user_chooses_and_changes_the_name(host, lab, netns):
    host.hawse("network", "connect", "--name", "store", "--restart", "no", "app", f"netns:{lab.name}")
    assert resolved(host, "web", "store") == "172.30.0.3"
    assert host.hawse("inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", "store").stdout == "no\n"
    other = host.hawse("network", "connect", "--name", "shop", "bridge", f"netns:{lab.name}", check=False)
    assert f"netns:{lab.name} has the name store already (rename changes it)" in other.stderr
    host.hawse("rename", f"netns:{lab.name}", "shop")
    assert host.hawse("inspect", "-f", "{{.Name}}", "shop", lab.name, f"netns:{lab.name}").stdout == "/shop\n" * 3
    joined = host.hawse("run", "--rm", "--network", f"container:{lab.name}", "hostfs", "ip", "-br", "addr")
    assert "172.30.0.3/16" in joined.stdout
    assert resolved(host, "web", "shop") == "172.30.0.3"
    taken = host.hawse("network", "connect", "--name", "web", "app", f"netns:{netns.name}", check=False)
    assert 'The container name "/web" is already in use' in taken.stderr
    refused = host.hawse("network", "connect", "--name", "x", "bridge", "web", check=False)
    assert "--name is for a namespace that joins its first network, and web is a container already" in refused.stderr
    host.hawse("rm", "-f", lab.name)


def test_a_process_inside_is_another_name_of_the_namespace(host, lab):
    process = lab.popen("sleep", "1d")
    inside = f"pid:{process.pid}"
    try:
        until(lambda: os.stat(f"/proc/{process.pid}/ns/net").st_ino == os.stat(lab.path).st_ino)
        host.hawse("network", "connect", "app", f"netns:{lab.name}")
        host.hawse("network", "create", "side")
        host.hawse("network", "connect", "--alias", "beside", "side", inside)
        assert host.hawse("ps", "--format", "{{.Names}}").stdout.split() == [f"netns:{lab.name}", "web"]
        assert host.hawse("inspect", "-f", "{{.Name}}", inside).stdout == f"/netns:{lab.name}\n"
        assert [resolved(host, inside, name) for name in ("web", "beside")] == ["172.30.0.2", "172.18.0.2"]
    finally:
        process.kill()
        process.wait()
    assert resolved(host, lab.name, "web") == "172.30.0.2", "the namespace outlives the process"
    host.hawse("network", "disconnect", "app", lab.name)
    assert "hawse_resolver" in lab.sh("nft list tables"), "names of the network side are served"
    host.hawse("network", "disconnect", "side", lab.name)
    host.hawse("network", "rm", "side")
    assert lab.sh("ip -br link | cut -d' ' -f1") == "lo\n"
    until(lambda: lab.sh("nft list ruleset") == "")


def test_rm_takes_a_namespace_off_its_networks(host, lab):
    host.hawse("network", "create", "-d", "macvlan", "-o", "parent=ext0", "--subnet", "192.168.99.0/24", "lan")
    for network in ("app", "lan"):
        host.hawse("network", "connect", network, f"netns:{lab.name}")
    assert "192.168.99." in lab.sh("ip -br addr")
    refused = host.hawse("rm", lab.name, check=False)
    assert (refused.returncode, refused.stderr) == (
        1,
        f'Error response from daemon: cannot remove container "/netns:{lab.name}": container is running: '
        "stop the container before removing or force remove\n",
    )
    assert "192.168.99." in lab.sh("ip -br addr")
    assert "\n\nIt is a namespace that hawse did not make." in host.error_on_terminal("rm", lab.name)
    host.hawse("rm", "-f", lab.name)
    assert lab.sh("ip -br link | cut -d' ' -f1") == "lo\n"
    assert not os.path.exists(f"/etc/netns/{lab.name}")
    assert host.hawse("ps", "-a", "--format", "{{.Names}}").stdout == "web\n"


@pytest.mark.parametrize("leave", [("network", "disconnect", "app"), ("rm", "-f")])
def test_the_users_resolv_conf_is_used_and_restored(host, lab, tmp_path, leave):
    resolv_conf, real = Path(f"/etc/netns/{lab.name}/resolv.conf"), tmp_path / "mine"
    resolv_conf.parent.mkdir(parents=True)
    real.write_text("nameserver 10.9.8.7\nsearch corp.test\n")
    resolv_conf.symlink_to(real)
    host.hawse("network", "connect", "app", f"netns:{lab.name}")
    text = resolv_conf.read_text()
    assert "nameserver 127.0.0.11\nsearch corp.test\n" in text
    assert "ExtServers: [10.9.8.7]" in text
    assert real.read_text() == "nameserver 10.9.8.7\nsearch corp.test\n"
    assert lab.run("getent", "ahostsv4", "web").stdout.startswith("172.30.0.2 ")
    host.hawse(*leave, lab.name)
    assert os.readlink(resolv_conf) == str(real)
    shutil.rmtree(resolv_conf.parent)


def _put_a_file_in_place_of_the_directory(resolv_conf):
    shutil.rmtree(resolv_conf.parent)
    resolv_conf.parent.write_text("")


def _put_a_directory_in_place_of_the_file(resolv_conf):
    resolv_conf.unlink()
    resolv_conf.joinpath("sub").mkdir(parents=True)


def _make_a_directory_with_the_name_of_the_new_file(resolv_conf):
    resolv_conf.with_name(".resolv.conf.hawse").mkdir()


CHANGES = (
    _put_a_file_in_place_of_the_directory,
    _put_a_directory_in_place_of_the_file,
    _make_a_directory_with_the_name_of_the_new_file,
)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("leave", [("network", "disconnect", "app"), ("rm", "-f")])
def test_a_namespace_leaves_its_networks_whatever_the_user_does_to_the_file(host, lab, leave, change):
    resolv_conf = Path(f"/etc/netns/{lab.name}/resolv.conf")
    host.hawse("network", "connect", "app", f"netns:{lab.name}")
    change(resolv_conf)
    host.hawse(*leave, lab.name)
    assert host.hawse("ps", "-a", "--format", "{{.Names}}").stdout == "web\n"
    resolv_conf.parent.unlink() if resolv_conf.parent.is_file() else shutil.rmtree(resolv_conf.parent)


def test_a_directory_in_place_of_the_users_resolv_conf_is_restored(host, lab):
    directory = Path(f"/etc/netns/{lab.name}/resolv.conf/sub")
    directory.mkdir(parents=True)
    host.hawse("network", "connect", "app", f"netns:{lab.name}")
    assert lab.run("getent", "hosts", "web").stdout.split() == ["172.30.0.2", "web"]
    host.hawse("network", "disconnect", "app", lab.name)
    assert directory.is_dir()


def test_a_resolv_conf_of_the_users_survives_a_full_disk():
    Path("/etc/netns").mkdir(exist_ok=True)
    done = subprocess.run(["unshare", "-m", sys.executable, "-c", FULL_DISK], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("28\n28\nnameserver 10.9.8.7 ['resolv.conf']\n", "")


def test_a_process_and_a_mounted_file_have_names_too(host, tmp_path):
    process = subprocess.Popen(["unshare", "-n", "sh", "-c", IDLE])
    mounted = tmp_path / "vpn"
    mounted.touch()
    try:
        until(lambda: os.stat(f"/proc/{process.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino)
        host.hawse("network", "connect", "app", f"netns:/proc/{process.pid}/ns/net")
        reference = f"pid:{process.pid}"
        assert resolved(host, reference, "web") == "172.30.0.2"
        assert resolved(host, "web", f"pid-{process.pid}") == "172.30.0.3"
        document = json.loads(host.hawse("inspect", reference).stdout)[0]
        policy = document["HostConfig"]["RestartPolicy"]["Name"]
        assert (document["State"]["Pid"], policy) == (process.pid, "no")
        host.hawse("network", "disconnect", "app", reference)
        subprocess.run(["mount", "--bind", f"/proc/{process.pid}/ns/net", mounted], check=True)
        host.hawse("network", "connect", "app", f"netns:{mounted}")
        assert host.hawse("ps", "--filter", "name=vpn", "--format", "{{.Names}}").stdout == "netns:vpn\n"
        assert "127.0.0.11" in host.hawse("exec", "netns:vpn", "cat", "/etc/resolv.conf").stdout
        host.hawse("network", "disconnect", "app", "netns:vpn")
    finally:
        subprocess.run(["umount", mounted], check=False, capture_output=True)
        process.kill()
        process.wait()


def test_the_end_of_a_namespace_is_recorded_when_it_happens(host, lab):
    host.hawse("network", "connect", "app", f"netns:{lab.name}")
    show = ("ps", "-a", "--filter", f"name={lab.name}", "--format", "{{.Status}}")
    assert re.match(r"Up (Less than a second|\d seconds?)$", host.hawse(*show).stdout)
    lab.delete()
    reading = ["python3", "-c", READ, str(host.root / "hawse.db"), STATUS]
    until(lambda: subprocess.run(reading, capture_output=True).stdout == b"exited\n")
    assert re.match(r"Exited \(0\) (Less than a second|\d seconds?) ago$", host.hawse(*show).stdout)
    assert lab.name not in host.hawse("network", "inspect", "app").stdout
    assert not os.path.exists(f"/etc/netns/{lab.name}")
    gone = host.hawse("exec", lab.name, "true", check=False)
    assert (gone.returncode, "is not running" in gone.stderr) == (1, True)
    host.hawse("rm", lab.name)


def test_a_service_that_starts_again_takes_over_its_name(host):
    services = [subprocess.Popen(["unshare", "--net", "sleep", "1d"]) for _ in range(2)]
    try:
        for service in services:
            until(lambda pid=service.pid: os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"))
        first, second = (f"pid:{service.pid}" for service in services)
        connect = ("network", "connect", "--name", "api", "-p", "9443:443", "app")
        host.hawse(*connect, first)
        assert "is already in use" in host.hawse(*connect, second, check=False).stderr, "its process runs"
        services[0].kill()
        services[0].wait()
        host.hawse(*connect, second)
        shown = host.hawse("ps", "-a", "--filter", "name=api", "--format", "{{.Names}} {{.Status}}").stdout
        assert shown.startswith("api Up") and shown.count("\n") == 1
    finally:
        for service in services:
            service.kill()
            service.wait()
    host.hawse("rm", "-f", "api")
