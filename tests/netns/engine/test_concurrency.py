"""Commands run at the same time, and are killed at any moment."""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from tests.commands import COLD

pytestmark = pytest.mark.netns
LOCK_TIMEOUT = """
import engine.containers.start as module
from engine.errors import Unavailable
def locked(*arguments):
    raise Unavailable("timed out")
module.locked = locked
"""
OTHER_FIRST_COMMAND = """
import subprocess, sys
from engine.networks import predefined
def look(host, found=predefined.signs_of_loss):
    subprocess.run([sys.executable, "-m", "cli", "run", "-d", "--name", "other", "hostfs", "sleep", "9"], check=True)
    return found(host)
predefined.signs_of_loss = look
"""


def at_once(host, commands):
    running = [
        subprocess.Popen(
            host.command(*argv),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            env=host.env(),
        )
        for argv in commands
    ]
    return [(p.communicate(timeout=150), p.returncode) for p in running]


def test_thirty_runs_at_once_get_thirty_addresses_and_ports_and_leave_nothing(host):
    host.hawse("network", "create", "app")
    host.hawse("network", "create", "other")  # the second create adds missing parts of the firewall table
    before = host.sh("ip -br link; nft list table inet hawse")
    names = [f"c{i:02}" for i in range(30)]
    results = at_once(
        host, [("run", "-d", "--name", n, "--network", "app", "-p", "80", "hostfs", "sleep", "1d") for n in names]
    )
    assert [r for r in results if r[1]] == []
    documents = json.loads(host.hawse("inspect", *names).stdout)
    assert all(d["State"]["Running"] for d in documents)
    addresses = {d["NetworkSettings"]["Networks"]["app"]["IPAddress"] for d in documents}
    ports = {d["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"] for d in documents}
    assert (len(addresses), len(ports)) == (30, 30)
    assert [r for r in at_once(host, [("rm", "-f", n) for n in names]) if r[1]] == []
    assert host.hawse("ps", "-aq").stdout == ""
    deadline = time.monotonic() + 10
    while (after := host.sh("ip -br link; nft list table inet hawse")) != before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert after == before


def test_one_name_is_given_once(host):
    results = at_once(host, [("network", "create", "same") for _ in range(8)])
    assert sorted(code for _, code in results) == [0] + [1] * 7
    assert all("already exists" in out[1] for out, code in results if code)


@pytest.mark.parametrize("verb", ["run", "create"])
def test_a_start_that_waits_in_vain_for_the_lock_leaves_a_container_with_rm(host, verb):
    """The start of a container failed if it was tried. Only then is a container with --rm removed."""
    flags = ("-d",) if verb == "run" else ()
    host.hawse(verb, *flags, "--rm", "--name", "web", "hostfs", "sleep", "1d")
    started = host.hawse("start", "web", code=LOCK_TIMEOUT, check=False)
    assert "Error response from daemon: timed out\n" in started.stderr
    state = {"run": "running", "create": "created"}[verb]
    assert host.hawse("inspect", "-f", "{{.State.Status}}", "web").stdout == f"{state}\n"


COMMANDS = (
    ("network", "create", "k1"),
    ("run", "-d", "--name", "kc", "--network", "base", "-p", "7000:70", "hostfs", "sleep", "1d"),
    ("network", "connect", "other", "victim"),
    ("network", "disconnect", "other", "victim"),
    ("rm", "-f", "kc"),
    ("network", "rm", "k1"),
)


@pytest.mark.parametrize("cold", [True, False])
def test_commands_killed_at_any_moment_are_finished_or_undone_by_the_next(host, cold):
    generator, shared = random.Random(7), host.launcher
    host.hawse("network", "create", "base")
    host.launcher = COLD if cold else shared
    began = time.monotonic()
    host.hawse("network", "create", "other")
    span = time.monotonic() - began
    host.hawse("run", "-d", "--name", "victim", "--network", "base", "hostfs", "sleep", "1d")
    for turn in range(24):
        argv = COMMANDS[turn % len(COMMANDS)]
        p = subprocess.Popen(host.command(*argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=host.env())
        time.sleep(generator.uniform(0.4, 1.2) * span)
        os.kill(p.pid, signal.SIGKILL)
        p.wait()
    host.launcher = shared
    host.hawse("rm", "-f", "kc", "victim", check=False)
    for name in ("k1", "base", "other"):
        host.hawse("network", "rm", "-f", name)
    assert host.hawse("ps", "-aq").stdout == ""
    assert host.hawse("network", "ls", "-qf", "type=custom").stdout == ""
    host.hawse("network", "create", "fresh")
    host.hawse("network", "rm", "fresh")
    time.sleep(0.5)
    links = {line.split()[0].partition("@")[0] for line in host.sh("ip -br link").splitlines()}
    assert links <= {"lo", "ext0", "docker0"}


def test_networks_made_at_once_on_a_fresh_host_are_all_in_the_firewall(host):
    """One command creates the missing parts of the firewall table while another command adds elements to the table.

    Afterwards the table must contain the elements of both commands.
    """
    results = at_once(host, [("network", "create", f"n{i}") for i in range(6)])
    assert [r for r in results if r[1]] == []
    bridges = [name for name in host.sh("ls /sys/class/net").split() if name.startswith("br-")]
    assert len(bridges) == 6
    known = host.sh("nft list set inet hawse bridges")
    assert [name for name in bridges if name not in known] == []


def test_a_first_command_works_although_another_first_command_has_started_a_container_meanwhile(host):
    """The container's files beside a new store show a loss only if no command has used the store meanwhile."""
    host.hawse("create", "--name", "web", "hostfs", "true", code=OTHER_FIRST_COMMAND)
    assert host.hawse("ps", "-a", "--format", "{{.Names}}").stdout.split() == ["web", "other"]
