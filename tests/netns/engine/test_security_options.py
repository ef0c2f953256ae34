"""The tests check the effects of ``--security-opt`` and ``--init`` on the container's process and on ``inspect``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import install_busybox

pytestmark = pytest.mark.netns

STATUS = ("grep", "-E", "^(NoNewPrivs|Seccomp):", "/proc/self/status")


@pytest.fixture
def image(tmp_path: Path) -> str:
    """The path of a directory that a test uses as an image."""
    root = tmp_path / "image"
    install_busybox(root, "sh", "cat", "grep", "mkdir", "sleep")
    return str(root)


def test_options_reach_the_process_and_are_shown(host, image, tmp_path):
    profile = tmp_path / "profile.json"
    rules = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    profile.write_text(json.dumps(rules, indent=1))
    flags = ["--security-opt", f"seccomp={profile}", "--security-opt", "no-new-privileges"]
    flags += ["--security-opt", "systempaths=unconfined"]
    host.hawse("run", "-d", "--name", "one", "--network", "none", *flags, image, "sleep", "1d")
    shown = json.loads(host.hawse("inspect", "one").stdout)[0]["HostConfig"]
    compact = json.dumps(rules, separators=(",", ":"))
    assert shown["SecurityOpt"] == [f"seccomp={compact}", "no-new-privileges"]
    assert (shown["MaskedPaths"], shown["ReadonlyPaths"]) == ([], [])
    assert host.hawse("exec", "one", *STATUS).stdout.split() == ["NoNewPrivs:", "1", "Seccomp:", "2"]
    script = "mkdir /x 2>/dev/null || echo refused"
    assert host.hawse("exec", "one", "sh", "-c", script).stdout == "refused\n"


def test_privileged_and_unconfined_processes_are_not_filtered(host, image):
    for flag in ("--privileged", "--security-opt=seccomp=unconfined"):
        output = host.hawse("run", "--rm", "--network", "none", flag, image, *STATUS).stdout
        assert output.split() == ["NoNewPrivs:", "0", "Seccomp:", "0"]
    output = host.hawse("run", "--rm", "--network", "none", image, *STATUS).stdout
    assert output.split() == ["NoNewPrivs:", "0", "Seccomp:", "2"]


def test_init_is_the_first_process_and_the_command_is_shown(host, image):
    for name, files in (("one", image), ("two", "hostfs")):
        host.hawse("run", "-d", "--init", "--name", name, "--network", "none", files, "sleep", "1d")
        first = host.hawse("exec", name, "cat", "/proc/1/cmdline").stdout.split("\0")
        assert first[1:4] == ["--", "sleep", "1d"]
        shown = json.loads(host.hawse("inspect", name).stdout)[0]
        assert (shown["Path"], shown["Args"], shown["HostConfig"]["Init"]) == ("sleep", ["1d"], True)
    assert host.hawse("exec", "one", "grep", "-c", " /sbin/docker-init ro,", "/proc/1/mountinfo").stdout == "1\n"


def test_seccomp_is_refused_for_containers_on_the_hosts_own_files(host):
    done = host.hawse("create", "--security-opt", "seccomp=builtin", "hostfs", "true", check=False)
    assert done.returncode == 1
    assert "seccomp is for images and directories" in done.stderr
