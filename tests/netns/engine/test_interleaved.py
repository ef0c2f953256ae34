"""One command runs at a chosen point of another command on the same objects."""

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.store.locks import locked
from tests.conftest import install_busybox, until
from tests.netns.engine.conftest import network_actions
from tests.netns.engine.killing import killed
from tests.netns.images.archives import make_tar

pytestmark = pytest.mark.netns

BESIDE = """
import pkgutil, subprocess
module = pkgutil.resolve_name({module!r})
real = module.{name}

def interrupted(*arguments, **keywords):
    module.{name} = real
    process = subprocess.Popen({command!r}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={env!r})
    try:
        process.wait({seconds})
    except subprocess.TimeoutExpired:
        pass
    return real(*arguments, **keywords)

module.{name} = interrupted
"""


def run_beside(host, other, where, *command, seconds=30):
    """Run a hawse command. At its first call of the function ``where``, run the command ``other`` before this call.

    The call waits at most ``seconds`` for ``other``, which may wait for a lock of the first command.
    """
    module, _, name = where.rpartition(".")
    argv, env = host.command(*other), host.env()
    code = BESIDE.format(module=module, name=name, command=argv, env=env, seconds=seconds)
    return host.hawse(*command, code=code, check=False)


def test_disconnect_waits_for_the_start_of_the_container(host):
    """The disconnect begins while the container still counts as stopped, and ends after the start."""
    host.hawse("network", "create", "app")
    host.hawse("network", "create", "zoo")
    host.hawse("create", "--name", "web", "--network", "app", "hostfs", "sleep", "1d")
    host.hawse("network", "connect", "zoo", "web")
    other = ("network", "disconnect", "zoo", "web")
    run_beside(host, other, "engine.containers.start._run", "start", "web", seconds=2)
    shown = ("inspect", "-f", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}", "web")
    until(lambda: host.hawse(*shown).stdout == "app \n")
    assert json.loads(host.hawse("network", "inspect", "zoo").stdout)[0]["Containers"] == {}
    until(lambda: "eth1" not in host.hawse("exec", "web", "ip", "-br", "link").stdout)


def test_a_rename_goes_on_from_the_name_that_another_rename_gave(host):
    first, second, third = (f"{host.name}-{word}" for word in ("first", "second", "third"))
    host.hawse("run", "-d", "--name", first, "hostfs", "sleep", "1d")
    host.hawse("run", "-d", "--name", "source", "--link", f"{first}:db", "hostfs", "sleep", "1d")
    other = ("rename", first, second)
    assert run_beside(host, other, "engine.containers.rename.locked", "rename", first, third).returncode == 0
    assert links_of_source(host) == [f"/{third}:/source/db"]
    assert [name for name in (first, second, third) if os.path.lexists(f"/run/netns/{name}")] == [third]


def test_no_container_is_created_from_an_image_that_another_command_removes(host, tmp_path):
    archive = tmp_path / "app.tar"
    archive.write_bytes(make_tar(("a", b"data")))
    host.hawse("import", str(archive), "app")
    command = ("create", "--pull", "never", "app", "sleep", "1d")
    done = run_beside(host, ("rmi", "app"), "engine.containers.create._record", *command)
    assert (done.returncode, "No such image: app:latest" in done.stderr) == (1, True), done
    assert host.hawse("ps", "-aq").stdout == ""


def test_a_start_uses_the_image_of_the_creation_although_its_name_means_another_one(host, tmp_path):
    """Only this image is protected from removal. It may have lost its name."""
    for number in ("1", "2"):
        install_busybox(tmp_path / number, "cat")
        (tmp_path / number / "file").write_text(number)
        subprocess.run(["tar", "-C", tmp_path / number, "-cf", tmp_path / f"{number}.tar", "."], check=True)
    host.hawse("import", str(tmp_path / "1.tar"), "app")
    host.hawse("create", "--name", "web", "--network", "none", "app", "cat", "/file")
    host.hawse("import", str(tmp_path / "2.tar"), "app")
    assert host.hawse("start", "-a", "web").stdout == "1"
    host.hawse("rmi", "-f", "app")
    assert host.hawse("start", "-a", "web").stdout == "1"


def links_of_source(host):
    return json.loads(host.hawse("inspect", "-f", "{{json .HostConfig.Links}}", "source").stdout)


def test_a_rename_is_kept_in_the_links_of_a_busy_container(host):
    """Each command on the linking container stores the record of this container after the rename of the linked one."""
    host.hawse("network", "create", "zoo")
    host.hawse("run", "-d", "--name", "t0", "hostfs", "sleep", "1d")
    host.hawse("create", "--name", "source", "--link", "t0:db", "hostfs", "sleep", "1d")
    commands = [
        ("engine.containers.start.join_all", "start", "source"),
        ("engine.containers.etc_files.add_network", "network", "connect", "zoo", "source"),
        ("engine.containers.publish.reservation.memberships", "publish", "source", "7000:70"),
        ("engine.containers.publish.reservation.memberships", "unpublish", "source", "70"),
        ("engine.endpoints.reservation.release_endpoint", "network", "disconnect", "zoo", "source"),
        ("engine.containers.finalize.close_sandbox", "stop", "-t0", "source"),
        ("engine.containers.start.reserve_networks", "start", "source"),
    ]
    for number, (where, *command) in enumerate(commands):
        other = ("rename", f"t{number}", f"t{number + 1}")
        assert run_beside(host, other, where, *command).returncode == 0
        assert links_of_source(host) == [f"/t{number + 1}:/source/db"], command


RESTARTED = """
import os, time
from drivers.linux import process
from engine.containers import lookup

real = lookup.is_running

def is_running(host, container):
    lookup.is_running = real
    with host.store.read() as reader:
        before = reader.container(container.id)
    os.kill(before.pid, 9)
    while process.is_running(before.pid, before.pid_start):
        time.sleep(0.001)
    result, after = real(host, container), before
    while after.pid == before.pid or after.status != "running":
        time.sleep(0.05)
        with host.store.read() as reader:
            after = reader.container(container.id)
    return result

lookup.is_running = is_running
"""


def test_network_rm_waits_while_another_process_records_the_end_of_a_container(host):
    """Another process holds the lock of the ended container for a second."""
    host.hawse("network", "create", "app")
    ended = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
    until(lambda: os.stat(f"/proc/{ended.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino)
    host.hawse("network", "connect", "app", f"pid:{ended.pid}")
    identity = host.hawse("ps", "-q", "--no-trunc").stdout.strip()
    with ThreadPoolExecutor(1) as pool, locked(host.run_dir, "container", identity):
        ended.kill()
        ended.wait()
        removal = pool.submit(host.hawse, "network", "rm", "app", check=False)
        time.sleep(1)
    assert removal.result().stdout == "app\n"


def test_network_rm_takes_no_endpoint_from_a_container_that_has_just_restarted(host):
    """The container's process ends before the removal looks at it, and the container has restarted after that."""
    host.hawse("network", "create", "app")
    options = ("--name", "web", "--restart", "always", "-p", "7000:70", "--network", "app")
    host.hawse("run", "-d", *options, "hostfs", "sleep", "1d")
    refused = host.hawse("network", "rm", "app", code=RESTARTED, check=False)
    assert "active endpoints" in refused.stderr
    assert host.hawse("port", "web").stdout.startswith("70/tcp -> 0.0.0.0:7000\n")
    assert network_actions(host, "app") == ["create", "connect", "disconnect", "connect"]


@pytest.mark.parametrize("command", [("start", "web"), ("network", "connect", "app", "other")])
def test_a_network_that_is_removed_before_its_use_is_not_found(host, command):
    network = host.hawse("network", "create", "app").stdout.strip()
    host.hawse("create", "--name", "web", "--network", "app", "hostfs", "sleep", "1d")
    host.hawse("run", "-d", "--name", "other", "hostfs", "sleep", "1d")
    refused = run_beside(host, ("network", "rm", "app"), "engine.networks.activate.activate", *command)
    assert refused.stderr.splitlines()[0] == f"Error response from daemon: network {network} not found"


def test_two_commands_that_finish_one_removal_add_one_event(host):
    host.hawse("network", "create", "app")
    killed(host, "engine.networks.remove.destroy_all", "network", "rm", "app")
    other = ("network", "create", "one")
    run_beside(host, other, "engine.networks.activate._delete_all", "network", "create", "two")
    assert network_actions(host, "app") == ["create", "destroy"]
