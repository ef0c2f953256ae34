"""Ctrl-C in the README's first commands leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import COUNTER, until
from tests.installation import CHECKOUT

pytestmark = pytest.mark.netns
APT = "#!/bin/sh\ntouch {running}\nexec sleep 60\n"


def copied(name: str, directory: Path, old: str, new: str) -> Path:
    """Return a copy of a script of ``.ci`` that has ``new`` in place of ``old``."""
    script = directory / ".ci" / name
    script.parent.mkdir()
    script.write_text((CHECKOUT / ".ci" / name).read_text().replace(old, new))
    return script


def interrupted(script: Path, running: Path, **environ: str) -> int:
    """Run a script, send SIGINT to its process group once the file ``running`` exists; return the exit code."""
    process = subprocess.Popen(["sh", str(script)], start_new_session=True, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env={**os.environ, **environ})  # fmt: skip
    try:
        until(running.exists)
        os.killpg(process.pid, signal.SIGINT)
        return process.wait(60)
    finally:
        process.kill()
        process.wait()


def test_the_setup_removes_its_policy_file(tmp_path):
    policy, running = tmp_path / "policy-rc.d", tmp_path / "running"
    (tmp_path / "apt-get").write_text(APT.format(running=running))
    (tmp_path / "apt-get").chmod(0o755)
    script = copied("setup", tmp_path, "/usr/sbin/policy-rc.d", str(policy))
    assert interrupted(script, running, PATH=f"{tmp_path}:{os.environ['PATH']}") == 130
    assert not policy.exists()


def test_the_demo_removes_its_hosts(tmp_path):
    name = f"hwt{os.getpid()}demo{next(COUNTER)}"
    script = copied("demo", tmp_path, "hawse-demo", name)
    (script.parent / "setup").write_text("")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    try:
        assert interrupted(script, Path(f"/run/netns/{name}")) == 130
        assert not [entry for entry in os.listdir("/run/netns") if entry.startswith(name)]
    finally:
        for entry in (name, f"{name}-lan"):
            subprocess.run(["ip", "netns", "del", entry], capture_output=True)
