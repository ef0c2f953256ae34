"""The store of a host with running containers is damaged. Commands name the repair command, and the repair succeeds.

The kernel's objects, such as bridges and processes, still exist while the store is damaged.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from engine.store import backup
from tests.conftest import install_busybox, loaded
from tests.netns.engine.killing import FULL_DISK
from tests.netns.images.archives import make_tar

pytestmark = pytest.mark.netns

KILLED_AT_MOVE = """
import os
rename = os.rename

def kill(source, target):
    last = str(source).endswith(".repaired")
    if {moved} or not last:
        rename(source, target)
    if last:
        os.kill(os.getpid(), 9)

os.rename = kill
"""
NO_DESCRIPTOR = """
import resource
from engine.recovery import check
unused_files = check._unused_files

def refuse(host):
    lines = unused_files(host)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 4096))
    return lines

check._unused_files = refuse
"""
"""A program that opens no further file after the store has been repaired."""
WAY_OUT = "(run: hawse system check --repair)\n"


@pytest.fixture
def web(host):
    """A host with the network app. A running container publishes a port. Another container was never started."""
    host.hawse("network", "create", "--subnet", "10.77.0.0/24", "--label", "a=b", "app")
    host.hawse("run", "-d", "--name", "web", "--network", "app", "-p", "7000:70", "hostfs", "sleep", "1d")
    host.hawse("create", "--name", "idle", "--network", "app", "hostfs", "true")
    return host


def database(host):
    return host.root / "hawse.db"


def edit(host, statement):
    with closing(sqlite3.connect(database(host))) as connection, connection:
        connection.execute(statement).fetchall()


def listing(host):
    containers = host.hawse("ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}} {{.Networks}} {{.Ports}}").stdout
    return containers + host.hawse("network", "ls", "--no-trunc").stdout


def truncated(host):
    backup.make(database(host))
    with open(database(host), "r+b") as file:
        file.truncate(0)


def record(host):
    backup.make(database(host))
    edit(host, "UPDATE containers SET body = '{\"id\":'")
    edit(host, "UPDATE networks SET body = 'x' WHERE name = 'app'")


def deleted(host):
    backup.make(database(host))
    database(host).unlink()


def driver_state(host):
    backup.make(database(host))
    edit(host, "INSERT OR REPLACE INTO meta (key, value) VALUES ('keepsakes', '{broken')")
    host.sh("nft flush ruleset")  # because a command reads the state of drivers only for a repair


def log(host):
    edit(host, "PRAGMA wal_checkpoint(TRUNCATE)")
    backup.make(database(host))
    for suffix in ("-wal", "-shm"):
        Path(f"{database(host)}{suffix}").unlink(missing_ok=True)
    Path(f"{database(host)}-wal").mkdir()


@pytest.mark.parametrize("damage", [truncated, record, deleted])
def test_damage_is_reported_immediately_and_repaired(web, damage):
    before = listing(web)
    damage(web)
    for command in (("ps", "-a"), ("rm", "-f", "web")):
        began = time.monotonic()
        refused = web.hawse(*command, check=False)
        assert (refused.returncode, refused.stderr.endswith(WAY_OUT)) == (1, True), refused
        assert "--repair" in refused.stderr and time.monotonic() - began < loaded(10)
    checked = web.hawse("system", "check", check=False)
    assert (checked.returncode, checked.stdout.startswith("damaged: ")) == (1, True)
    repaired = web.hawse("system", "check", "--repair").stdout
    assert "repair: kept the old file as" in repaired or damage is deleted
    assert listing(web) == before, repaired
    assert web.hawse("system", "check", "--repair").stdout == "The database is sound.\n"
    assert web.hawse("port", "web").stdout == "70/tcp -> 0.0.0.0:7000\n70/tcp -> [::]:7000\n"
    assert web.hawse("exec", "web", "echo", "here").stdout == "here\n"
    web.hawse("rm", "-f", "web", "idle")


@pytest.mark.parametrize("damage", [driver_state, log])
def test_damage_beside_the_records_is_named_and_repaired(web, damage):
    before = listing(web)
    damage(web)
    command = ("network", "create", "other") if damage is log else ("start", "idle")
    refused = web.hawse(*command, check=False)
    assert (refused.returncode, WAY_OUT in refused.stderr) == (1, True), refused
    assert "is damaged" in refused.stderr
    assert web.hawse("system", "check", check=False).stdout.startswith("damaged: ")
    web.hawse("system", "check", "--repair")
    assert listing(web) == before
    web.hawse("network", "create", "other")


def test_a_damaged_event_and_a_damaged_cursor_stop_nothing(web):
    edit(web, "UPDATE events SET attributes = '{broken'")
    edit(web, "UPDATE meta SET value = 'x' WHERE key LIKE 'pool-cursor%'")
    time.sleep(1)  # because --until has whole seconds
    assert "container start" in web.hawse("events", "--since", "1h", "--until", "0s").stdout
    web.hawse("network", "create", "other")


def test_bridges_and_containers_are_found_again_without_any_backup(web):
    container = web.hawse("inspect", "-f", "{{.Id}}", "web").stdout.strip()
    web.hawse("network", "create", "--internal", "--subnet", "10.78.0.0/24", "inner")
    for path in web.root.glob("hawse.db*"):
        path.unlink()
    refused = web.hawse("network", "create", "--subnet", "10.78.0.0/24", "other", check=False)
    assert (refused.returncode, refused.stderr.endswith(WAY_OUT)) == (1, True)
    assert "is new, but this host has running containers in" in refused.stderr
    done = web.hawse("system", "check", "--repair").stdout
    assert done.count("repair: recorded the bridge br-") == 2
    name = f"recovered-{container[:12]}"
    assert f"repair: recorded the running container {container[:12]} as {name} from its process" in done
    (address,) = web.hawse(
        "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name
    ).stdout.split()
    assert address == "10.77.0.2"
    overlapping = web.hawse("network", "create", "--subnet", "10.78.0.0/24", "other", check=False)
    assert "Pool overlaps" in overlapping.stderr
    network = web.hawse("network", "ls", "--format", "{{.Name}}", "--filter", "name=recovered").stdout.split()
    attached = web.hawse("network", "ls", "--format", "{{.Name}}", "--filter", f"id={_network_of(web, name)}").stdout
    assert attached.strip() in network
    web.hawse("run", "--rm", "--network", attached.strip(), "hostfs", "ping", "-c1", "-W2", address)
    web.hawse("rm", "-f", name)
    web.hawse("network", "rm", *network)
    assert "br-" not in web.sh("ip -br link")


def test_the_check_finds_a_deleted_log_and_the_backup_restores_the_lost_changes(web):
    """Without its write-ahead log, the store has an older state. Only the backup shows that changes are missing."""
    before = listing(web)
    backup.make(database(web))
    old = web.state / "old.db"
    with closing(sqlite3.connect(old)) as target, closing(sqlite3.connect(database(web))) as source:
        source.backup(target)
        target.execute("DELETE FROM containers")
        target.execute("DELETE FROM endpoints")
        target.execute("DELETE FROM networks WHERE name = 'app'")
        target.execute("UPDATE sqlite_sequence SET seq = seq - 1")
        target.commit()
    old.rename(database(web))
    for suffix in ("-wal", "-shm"):
        (web.root / f"hawse.db{suffix}").unlink(missing_ok=True)
    assert "damaged: the file is older than the backup" in web.hawse("system", "check", check=False).stdout
    web.hawse("system", "check", "--repair")
    assert listing(web) == before
    assert web.hawse("system", "check").stdout == "The database is sound.\n"


def test_a_lost_store_is_noticed_by_the_files_of_a_stopped_container(host):
    host.hawse("run", "--name", "web", "--network", "none", "hostfs", "true")
    for path in host.root.glob("hawse.db*"):
        path.unlink()
    refused = host.hawse("network", "ls", check=False)
    assert f"is new, but this host has files of containers in {host.root}/containers" in refused.stderr
    assert host.hawse("system", "check", check=False).returncode == 1
    assert "that belong to no container" in host.hawse("system", "check", "--repair").stdout
    assert host.hawse("system", "check").stdout == "The database is sound.\n"
    assert len(host.hawse("network", "ls", "-q").stdout.split()) == 3


def test_image_commands_after_a_loss_of_the_store_delete_no_files_of_containers(host, tmp_path):
    install_busybox(tmp_path / "root", "sleep", "echo")
    archive, other = tmp_path / "app.tar", tmp_path / "other.tar"
    subprocess.run(["tar", "-C", str(tmp_path / "root"), "-cf", str(archive), "."], check=True)
    other.write_bytes(make_tar(("a", b"data")))
    host.hawse("import", str(archive), "app")
    host.hawse("run", "-d", "--name", "web", "--network", "none", "app", "sleep", "1d")
    for path in host.root.glob("hawse.db*"):
        path.unlink()
    for command in (["import", str(other), "other"], ["image", "prune", "-f"]):
        assert host.hawse(*command, check=False).stderr.endswith(WAY_OUT)
    host.hawse("system", "check", "--repair")
    host.hawse("import", str(other), "other")
    host.hawse("image", "prune", "-af")
    name = host.hawse("ps", "--format", "{{.Names}}").stdout.strip()
    host.hawse("restart", "-t0", name)
    assert host.hawse("exec", name, "echo", "here").stdout == "here\n"
    host.hawse("rm", "-f", name)
    host.hawse("image", "prune", "-f")
    assert os.listdir(host.root / "images") == []


def _network_of(host, name):
    template = "{{range .NetworkSettings.Networks}}{{.NetworkID}}{{end}}"
    return host.hawse("inspect", "-f", template, name).stdout.strip()


@pytest.mark.parametrize("moved", [False, True])
def test_a_killed_repair_loses_nothing(web, moved):
    """The repair is killed before or after the repaired file moves to the store's path."""
    before = listing(web)
    record(web)
    done = web.hawse("system", "check", "--repair", code=KILLED_AT_MOVE.format(moved=moved), check=False)
    assert done.returncode == -signal.SIGKILL
    refused = web.hawse("ps", "-a", check=False)
    assert (refused.returncode, refused.stderr.endswith(WAY_OUT)) == ((0, False) if moved else (1, True))
    web.hawse("system", "check", "--repair")
    assert listing(web) == before
    assert web.hawse("exec", "web", "echo", "here").stdout == "here\n"
    assert not Path(f"{database(web)}.rescue").exists()


def test_a_repair_that_cannot_write_says_so_and_changes_nothing(web):
    before = listing(web)
    record(web)
    code = FULL_DISK.format(module="engine.recovery.check.rescue", name="new_store")
    done = web.hawse("system", "check", "--repair", code=code, check=False)
    text = f"the store {database(web)} cannot be read or written: input/output error"
    assert (done.returncode, done.stderr) == (1, f"Error response from daemon: {text}\n")
    assert [path.name for path in web.root.glob("hawse.db.*") if path.name != "hawse.db.backup"] == []
    web.hawse("system", "check", "--repair")
    assert listing(web) == before


def test_the_report_of_a_repair_is_not_lost_if_no_descriptor_is_left(web):
    record(web)
    done = web.hawse("system", "check", "--repair", code=NO_DESCRIPTOR)
    assert "repair: kept the old file as " in done.stdout
    assert "repair: the kernel's state is not repaired yet: " in done.stdout
    assert web.hawse("system", "check").stdout == "The database is sound.\n"


def test_a_host_that_is_new_is_not_taken_for_one_that_lost_its_store(host):
    assert host.hawse("system", "check").stdout == "The database is sound.\n"
    host.hawse("network", "create", "app")
    assert host.hawse("system", "check").stdout == "The database is sound.\n"


def test_readers_go_on_while_a_stopped_command_holds_the_lock(web):
    code = "import sys, time; from engine.store.sqlite import SqliteStore; from pathlib import Path\n"
    code += (
        "with SqliteStore(Path(sys.argv[1])).write() as tx: tx.set_meta('k', 'v'); print(flush=True); time.sleep(99)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(database(web))], stdout=subprocess.PIPE, env=web.env())
    try:
        holder.stdout.readline()
        holder.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert "web" in web.hawse("ps").stdout and "app" in web.hawse("network", "ls").stdout
        assert "7000" in web.hawse("port", "web").stdout
        assert time.monotonic() - began < loaded(15)
        refused = web.hawse("network", "create", "more", check=False)
        assert f"process {holder.pid} " in refused.stderr and refused.stderr.endswith("which is stopped\n")
        assert time.monotonic() - began < loaded(20)
    finally:
        holder.kill()
        holder.wait()
    web.hawse("network", "create", "more")
