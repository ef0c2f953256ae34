"""The units that ``hawse system install`` writes, run by a real systemd: boot, power-off, power cut, and kills."""

from __future__ import annotations

import sys

import pytest

from tests.conftest import require_root, until
from tests.netns.agent.booted import Machine

pytestmark = pytest.mark.netns
GET = ("curl", "-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", "http://127.0.0.1:8080/")
STARTED = ("hawse-warm.socket", "hawse-agent.service", "hawse-boot.service")
SERVICE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); " + (
    "from http.server import *; HTTPServer(('', 80), SimpleHTTPRequestHandler).serve_forever()"
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    require_root()
    booted = Machine(tmp_path_factory.mktemp("booted"))
    try:
        booted.boot()
        booted.hawse("system", "install")
        booted.run("systemctl", "enable", "--now", *STARTED)
        booted.hawse("network", "create", "app")
        flags = ("--restart", "unless-stopped", "--network", "app", "-p", "8080:80")
        booted.hawse("run", "-d", "--name", "web", *flags, "hostfs", sys.executable, "-c", SERVICE)
        stubborn = ("--restart", "always", "--stop-timeout", "1", "hostfs", "sleep", "1d")  # ignores SIGTERM as PID 1
        booted.hawse("run", "-d", "--name", "stubborn", *stubborn)
        booted.hawse("run", "-d", "--name", "stopped", "--restart", "unless-stopped", "hostfs", "sleep", "1d")
        booted.hawse("stop", "-t0", "stopped")
        until(lambda: booted.run(*GET, check=False).stdout == "200", 30)
        yield booted
    finally:
        booted.close()


def is_back(machine):
    """Wait until the units are active; then the containers run and are reachable."""
    until(lambda: machine.are_active(*STARTED), 60)
    lines = machine.hawse("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines()
    assert sorted(lines) == ["stopped exited", "stubborn running", "web running"]
    until(lambda: machine.run(*GET, check=False).stdout == "200", 30)


def test_a_power_off_ends_the_containers_in_order_and_a_boot_restores_them(machine):
    assert machine.power_off() < 60  # systemd would wait for 90 s for a process that ignores SIGTERM
    machine.boot()
    is_back(machine)


def test_a_boot_after_a_power_cut_restores_the_containers(machine):
    machine.crash()
    machine.boot()
    is_back(machine)


@pytest.mark.parametrize("unit", ["hawse-agent.service", "hawse-warm.service"])
def test_a_unit_that_is_killed_again_and_again_is_started_again(machine, unit):
    for _ in range(8):
        until(lambda: machine.run("systemctl", "show", "-P", "MainPID", unit).stdout.strip() != "0", 30)
        machine.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", unit)
        machine.hawse("ps", "-q")
    until(lambda: machine.are_active(unit), 30)
    is_back(machine)


def test_containers_continue_when_the_units_are_stopped_and_removed(machine):
    before = machine.hawse("inspect", "-f", "{{.State.StartedAt}}", "web")
    machine.hawse("system", "uninstall")
    assert machine.run(*GET).stdout == "200"
    assert machine.hawse("inspect", "-f", "{{.State.StartedAt}}", "web") == before
