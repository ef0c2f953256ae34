"""A process in a container that runs an image has limits.

The tests check system calls, privileges, kernel keyrings, control groups and kernel paths in /proc and /sys.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.model import Mount
from engine.runtime.api import RuntimeFailure
from engine.runtime.rootfs import MASKED_PATHS
from tests.conftest import install_busybox

pytestmark = pytest.mark.netns

EPERM, ENOSYS = 1, 38

CALL = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
for number in map(int, sys.argv[1:]):
    print(libc.syscall(number, 0, 0, 0, 0) == -1 and ctypes.get_errno())
"""
MOUNT, KEYCTL, UNSHARE, CLONE3, GETPID, BPF, REBOOT = 165, 250, 272, 435, 39, 321, 169
"""Numbers of system calls on x86_64."""


@pytest.fixture
def image(tmp_path: Path) -> dict[str, object]:
    """An image with busybox and the files that the host's Python interpreter needs."""
    root = tmp_path / "image"
    install_busybox(root, "sh", "cat", "grep", "head", "sleep", "mkdir", "readlink", "ls")
    places = [place for place in ("/usr", "/lib", "/lib64") if Path(place).is_dir()]
    mounts = [Mount(place, place, read_only=True) for place in places]
    return {"rootfs": str(root), "overlay_dir": str(tmp_path / "layer"), "mounts": mounts}


def call(lab, image, *numbers: int, **fields) -> list[int]:
    """Make system calls without arguments in a container; return the error number of each call, or 0 for success."""
    code, output = lab.run("one", "/usr/bin/python3", "-c", CALL, *map(str, numbers), **image, **fields)
    lab.runtime.delete("one")
    Path(lab.log("one")).unlink()
    assert code == 0, output
    return [int(line) if line.isdigit() else 0 for line in output.split()]


on_x86 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls are x86_64's")


@on_x86
def test_system_calls_that_docker_refuses_are_refused(lab, image):
    assert call(lab, image, MOUNT, KEYCTL, UNSHARE, CLONE3, BPF) == [EPERM, EPERM, EPERM, ENOSYS, EPERM]
    assert call(lab, image, GETPID) == [0]


@on_x86
def test_system_calls_follow_the_capabilities(lab, image):
    assert EPERM not in call(lab, image, MOUNT, UNSHARE, CLONE3, cap_add=["SYS_ADMIN"])
    assert call(lab, image, KEYCTL, cap_add=["SYS_ADMIN"]) == [EPERM]
    assert EPERM not in call(lab, image, KEYCTL, MOUNT, UNSHARE, privileged=True)
    assert EPERM not in call(lab, image, KEYCTL, UNSHARE, seccomp="unconfined")
    assert call(lab, image, KEYCTL, seccomp="builtin") == [EPERM]


def test_seccomp_profile_of_the_user_replaces_the_default_profile(lab, image):
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    script = "mkdir /made || echo refused; grep Seccomp: /proc/self/status"
    assert "refused\nSeccomp:\t2\n" in lab.sh(f"({script}) 2>&1", seccomp=json.dumps(profile), **image)
    assert lab.sh("grep Seccomp: /proc/self/status", seccomp='{"x":1}', **image) == "Seccomp:\t0\n"


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        ("[1]", "Decoding seccomp profile failed: json: cannot unmarshal array into Go value of type seccomp.Seccomp"),
        ("{bad", "Decoding seccomp profile failed: invalid character 'b' looking for beginning of object key string"),
        (
            '{"defaultAction":"NOPE","syscalls":[]}',
            "failed to create task for container: failed to create shim task: OCI runtime create failed: "
            "runc create failed: string NOPE is not a valid action for seccomp: unknown",
        ),
    ],
)
def test_invalid_seccomp_profile_is_refused_in_dockers_words(lab, image, profile, text):
    with pytest.raises(RuntimeFailure) as failure:
        lab.run("one", "true", seccomp=profile, **image)
    assert str(failure.value) == text


def test_every_process_of_an_image_is_filtered_unless_unconfined(lab, image):
    read = ["grep", "Seccomp:", "/proc/self/status"]
    lab.launch("one", "sh", "-c", f"{' '.join(read)}; sleep 60", **image)
    lab.await_output("one", "Seccomp:\t2\n")
    assert lab.exec("one", *read)[1] == "Seccomp:\t2\n"
    assert lab.exec("one", *read, privileged=True)[1] == "Seccomp:\t2\n"
    lab.launch("two", "sleep", "60", rootfs=image["rootfs"], seccomp="unconfined")
    assert lab.exec("two", *read)[1] == "Seccomp:\t0\n"


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_no_new_privileges_holds_for_the_command_and_exec(lab, image, no_new_privileges):
    read = ["grep", "NoNewPrivs", "/proc/self/status"]
    for name, fields in (("image", image), ("hostfs", {})):
        lab.launch(name, "sh", "-c", f"{' '.join(read)}; sleep 60", no_new_privileges=no_new_privileges, **fields)
        lab.await_output(name, f"NoNewPrivs:\t{int(no_new_privileges)}\n")
        assert lab.exec(name, *read)[1] == f"NoNewPrivs:\t{int(no_new_privileges)}\n"


def test_capabilities_of_an_image_are_dockers(lab, image):
    read = "grep -h ^Cap /proc/self/status"
    assert lab.sh(read, **image).split()[1::2] == ["0" * 16, *["00000000a80425fb"] * 3, "0" * 16]
    assert lab.sh(read, user="5", **image).split()[1::2] == ["0" * 16] * 3 + ["00000000a80425fb", "0" * 16]
    assert "CapEff:\t0000000000001000" in lab.sh(read, cap_drop=["ALL"], cap_add=["NET_ADMIN"], **image)
    lab.launch("one", "sleep", "60", **image)
    assert lab.exec("one", "sh", "-c", read, user="5")[1].split()[5::2] == ["0" * 16, "00000000a80425fb", "0" * 16]


def test_session_keyring_is_the_containers_own(lab, image):
    """A key in the session keyring of the process that starts the container cannot be found inside the container."""
    script = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.syscall(249, b'user', b'hawse-canary', None, -3) > 0)"
    )
    add = (
        "import ctypes, sys; libc = ctypes.CDLL(None)\n"
        "libc.syscall(250, 1, 0); assert libc.syscall(248, b'user', b'hawse-canary', b'x', 1, -3) > 0\n"
        "sys.path[:0] = ['.', 'tests/netns/runtime']\n"
        "from pathlib import Path; from conftest import Lab; from engine.model import Mount\n"
        "lab = Lab(Path(sys.argv[1]), ''); image = eval(sys.argv[2])\n"
        "try: print(lab.run('one', '/usr/bin/python3', '-c', sys.argv[3], seccomp='unconfined', **image))\n"
        "finally: lab.clean()"
    )
    command = [sys.executable, "-c", add, str(lab.state / "other"), repr(image), script]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60)
    assert done.stdout == "(0, 'False\\n')\n", done.stderr


def test_control_groups_of_the_host_are_not_seen(lab, image):
    lab.launch("one", "sh", "-c", "cat /proc/self/cgroup; readlink /proc/self/ns/cgroup; sleep 60", **image)
    lab.await_output("one", "cgroup:[")
    *groups, namespace = lab.output("one").splitlines()
    assert all(line.endswith(":/") for line in groups)
    assert namespace != os.readlink("/proc/self/ns/cgroup")
    assert lab.exec("one", "readlink", "/proc/self/ns/cgroup")[1].strip() == namespace


def test_paths_of_the_kernel_are_hidden_unless_the_user_wants_them(lab, image):
    shown = "; ".join(f"ls -A {path} | head; cat {path} | head -c 9" for path in MASKED_PATHS if path != "/proc/kcore")
    assert [line for line in lab.sh(f"({shown}) 2>/dev/null; true", **image).splitlines() if line[:1] != "/"] == []
    assert lab.sh(f"({shown}) 2>/dev/null; true", system_paths=True, **image) != ""
    write = "(echo 77 > /proc/sys/net/core/somaxconn) 2>&1 || true"
    assert "Read-only" in lab.sh(write, **image)
    assert lab.sh(write, system_paths=True, **image) == ""
    assert lab.sh(write, system_paths=True) == ""  # without an image, this path is writable with system_paths
    assert lab.sh(write, privileged=True, **image) == ""
    assert "Read-only" in lab.sh("(mkdir /sys/fs/cgroup/x) 2>&1 || true", system_paths=True, **image)


def test_mounts_keep_the_flags_that_they_have_on_the_host(lab, image, tmp_path):
    from engine.runtime import syscalls

    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), source / "tool")
    syscalls.mount("tmpfs", str(source / "below"), "tmpfs")
    syscalls.bind(str(source), str(source))
    try:
        syscalls.mount(
            "", str(source), flags=syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | syscalls.MS_NOEXEC
        )
        fields = {**image, "mounts": [Mount(str(source), "/data")]}
        output = lab.sh("(mkdir /data/x; /data/tool true; mkdir /data/below/x && echo below) 2>&1", **fields)
        assert output.count("Read-only") == 1
        assert output.count("ermission denied") == 1
        assert output.endswith("below\n")
        fields["mounts"] = [Mount(str(source), "/data", read_only=True)]
        assert "Read-only" in lab.sh("(mkdir /data/below/y) 2>&1 || true", **fields)
    finally:
        syscalls.unmount(str(source))
        syscalls.unmount(str(source / "below"))


def await_children(pid: int, count: int) -> None:
    """Wait until a process has ``count`` children. Ended children that the process has not reaped count too."""
    for _ in range(200):
        if len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) == count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{pid} has not {count} children")


@pytest.mark.parametrize("files", ["image", "hostfs"])
def test_init_reaps_and_forwards_signals(lab, image, files):
    fields = {**(image if files == "image" else {}), "init_path": shutil.which("tini-static")}
    script = "trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    lab.launch("one", "sh", "-c", script, **fields)
    lab.await_output("one", "ready")
    first = lab.exec("one", "cat", "/proc/1/cmdline")[1].split("\0")
    assert first[1:4] == ["--", "sh", "-c"]
    assert first[0] == ("/sbin/docker-init" if files == "image" else fields["init_path"])
    lab.exec("one", "sh", "-c", "(sleep 2; exit 3) > /dev/null 2>&1 &")  # init becomes the parent of this subshell
    await_children(lab.pid("one"), 2)
    await_children(lab.pid("one"), 1)
    lab.runtime.signal("one", 15)
    assert lab.runtime.wait("one", timeout=5) == 7
    assert lab.output("one").endswith("told\n")
