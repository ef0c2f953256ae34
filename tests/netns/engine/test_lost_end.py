"""After a container has exited, hawse always does the work that follows (record the state, restart or remove).

hawse does this work even if the responsible process is killed or its program file no longer exists.
"""

import shutil

import pytest

from engine.endpoints.boots import BOOT
from engine.store.sqlite import SqliteStore

pytestmark = pytest.mark.netns

OVERDUE = 6  # seconds after a container's exit until the next command does the work that the exit requires


@pytest.fixture
def settings(tmp_path):
    """The path of a configuration file.

    A test can write invalid text into the file. Each process that reads the file then fails.
    """
    file = tmp_path / "daemon.json"
    file.write_text("{}")
    return file


def test_the_next_changing_command_handles_the_end(host, settings, tmp_path):
    script = f"test -e {tmp_path}/$1 && exec sleep 99; touch {tmp_path}/$1; sleep 1.5"  # only the second run lasts
    flags = {"kept": ["-p", "8081:80"], "gone": ["-p", "8082:80", "--rm"], "again": ["--restart", "always"]}
    for name, more in flags.items():
        command = ("sh", "-c", script, "sh", name)
        host.hawse("run", "-d", "--name", name, *more, "hostfs", *command, env={"HAWSE_CONFIG": str(settings)})
    settings.write_text("broken")
    host.sh(f"sleep {OVERDUE + 2}")
    assert host.hawse("ps", "-aq").stdout.count("\n") == 3
    host.hawse("network", "create", "any")
    assert host.hawse("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout == "again running\nkept exited\n"
    host.hawse("run", "-d", "-p", "8081:80", "-p", "8082:80", "hostfs", "sleep", "9")


def test_a_command_that_waits_for_a_removal_removes_the_container_itself(host, settings):
    seen = f"echo broken > {settings}; exit 3"
    done = host.hawse("run", "--rm", "hostfs", "sh", "-c", seen, env={"HAWSE_CONFIG": str(settings)}, check=False)
    assert done.returncode == 3
    assert host.hawse("ps", "-aq").stdout == ""


def test_a_container_with_rm_is_removed_after_a_reboot(host):
    host.hawse("run", "-d", "--name", "gone", "--rm", "hostfs", "sleep", "99")
    host.hawse("run", "-d", "--name", "kept", "hostfs", "sleep", "99")
    host.kill_processes()
    shutil.rmtree(host.run_dir)
    with SqliteStore(host.root / "hawse.db").write() as tx:
        tx.set_meta(BOOT, "another one")
    host.hawse("network", "create", "any")
    assert host.hawse("ps", "-a", "--format", "{{.Names}}").stdout == "kept\n"


def test_start_runs_a_container_again_after_the_loss_of_hawse_run(host):
    host.hawse("run", "-d", "--name", "web", "--restart", "always", "hostfs", "sleep", "99")
    host.kill_processes()
    shutil.rmtree(host.run_dir)
    assert host.hawse("ps", "-a", "--format", "{{.State}}").stdout == "restarting\n"
    host.hawse("start", "web")
    assert host.hawse("ps", "-a", "--format", "{{.State}}").stdout == "running\n"
