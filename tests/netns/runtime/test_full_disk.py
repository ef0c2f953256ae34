"""The disk of HAWSE_RUN and HAWSE_ROOT is full: the supervisor survives, ends are recorded, errors name the cause."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.runtime.local import LocalRuntime
from tests.conftest import until

pytestmark = pytest.mark.netns


class Disk:
    """A small file system that a test can fill."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "hawse-test", str(path)], check=True)

    def fill(self) -> None:
        with suppress(OSError), open(self.path / "filler", "ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def empty(self) -> None:
        (self.path / "filler").unlink()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


@pytest.fixture
def full(lab) -> Iterator[Disk]:
    disk = Disk(lab.run_dir)
    yield disk
    lab.clean()  # kills the containers' processes, whose pids are in files on the disk
    disk.close()


def test_an_end_on_a_full_disk_is_known_and_recorded_later(lab, full):
    lab.launch("one", "sh", "-c", "sleep 0.5; exit 7")
    lab.launch("two", "sleep", "60")
    pid = lab.supervisor_pid()
    full.fill()
    assert lab.runtime.wait("one", timeout=10) == 7
    state = LocalRuntime(lab.state / "root", lab.run_dir).state("one")
    assert (state.running, state.exit_code) == (False, 7)
    assert abs(state.finished_at - time.time()) < 5
    assert (lab.supervisor_pid(), lab.runtime.state("two").running) == (pid, True)
    full.empty()
    until((lab.run_dir / "containers/one/exit").exists)
    assert not list((lab.run_dir / "containers/one").glob(".exit*"))


def test_the_successor_of_a_supervisor_survives_a_full_disk(lab, full):
    lab.launch("one", "sh", "-c", "sleep 0.5; exit 7")
    lab.launch("two", "sh", "-c", "while :; do echo line; sleep 0.05; done")
    full.fill()
    assert lab.runtime.wait("one", timeout=10) == 7
    for _ in range(2):
        lab.kill_supervisor()
        runtime = LocalRuntime(lab.state / "root", lab.run_dir)
        assert (runtime.state("one").running, runtime.state("one").exit_code) == (False, 255)
        assert runtime.state("two").running
    lines = len(lab.output("two"))
    until(lambda: len(lab.output("two")) > lines)
    full.empty()
    until((lab.run_dir / "containers/one/exit").exists)


def test_commands_on_a_full_disk_say_so(host):
    disk = Disk(host.run_dir.parent)
    try:
        for name, script in {"job": "sleep 1; exit 7", "web": "sleep 1000"}.items():
            host.hawse("run", "-d", "--name", name, "hostfs", "sh", "-c", script)
        until((host.run_dir / "guard.lock").exists)
        disk.fill()
        time.sleep(1.5)  # wait until the job has ended on the full disk
        texts = []
        for verb in (["ps", "-a"], ["inspect", "job"], ["logs", "web"], ["wait", "job"], ["exec", "web", "true"],
                     ["stop", "job"], ["kill", "web"], ["rm", "-f", "web"], ["run", "-d", "hostfs", "true"],
                     ["network", "create", "app"]):  # fmt: skip
            disk.fill()  # fill it again, because earlier commands have freed space
            result = host.hawse(*verb, check=False)
            print(verb, result.returncode, result.stderr)
            texts.append(result.stderr)
        assert not [text for text in texts if "internal error" in text or "Traceback" in text]
        disk.empty()
        assert host.hawse("ps", "-aqf", "name=job", "-f", "exited=7").stdout
        host.hawse("run", "--rm", "hostfs", "true")
    finally:
        host.kill_processes()
        disk.close()


def test_a_start_on_a_full_disk_fails_with_the_cause_and_harms_nothing(lab, full, either):
    lab.launch("one", "sleep", "60")
    pid = lab.supervisor_pid()
    full.fill()
    with pytest.raises(OSError, match="No space left"):
        lab.launch("two", "sleep", "61")
    full.empty()
    assert lab.run("three", "true")[0] == 0
    assert (lab.supervisor_pid(), lab.runtime.state("one").running) == (pid, True)
