"""Images and directories have links that point outside. No container may read, write or create a file of the host."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from engine.model import Mount
from engine.runtime.api import RuntimeFailure
from tests.conftest import install_busybox

pytestmark = pytest.mark.netns

CANARY = "the host's own"

PROBE = """
for base in / /dev /sys /proc /etc /data /target /proc/1/root /proc/self/cwd /..; do
    cat $base$CANARY $base/../../../../../..$CANARY 2>/dev/null
    echo forged > $base$CANARY
    mkdir $base$PLACE/made
    mknod $base$PLACE/node c 1 3
done 2>/dev/null
cat /proc/self/mountinfo
"""
"""A hostile command. A link in the root file system may put the command's working directory outside the container. From
such a working directory, the command tries to reach paths of the host.
"""


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file of the host that no container may reach. The file is alone in its directory."""
    place = tmp_path / "host"
    place.mkdir()
    (place / "canary").write_text(CANARY)
    return place / "canary"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root file system with busybox only."""
    root = tmp_path / "image"
    install_busybox(root, "sh", "cat", "mkdir", "mknod", "pwd", "ls", "sleep", "id")
    return root


LINKS = {
    "dev-to-root": {"dev": "/"},
    "dev-to-proc": {"dev": "/proc/self/root"},
    "dev-up": {"dev": "../../../../.."},
    "dev-to-descriptor": {"dev": "/proc/self/fd/3"},
    "sys-up": {"sys": ".."},
    "sys-to-proc": {"sys": "/proc/1/root"},
    "proc-up": {"proc": ".."},
    "proc-to-root": {"proc": "/"},
    "etc-up": {"etc": ".."},
    "etc-to-proc": {"etc": "/proc/self/root/etc"},
    "file-up": {"etc/resolv.conf": "../../../../../..{canary}", "etc/hosts": "{canary}"},
    "file-to-proc": {"etc/resolv.conf": "/proc/self/root{canary}", "etc/hosts": "/proc/1/root{canary}"},
    "shm-to-root": {"dev/shm": "/", "dev/pts": "/proc/self/root", "dev/console": "{canary}", "dev/null": "{canary}"},
    "cgroup-to-root": {"sys/fs/cgroup": "/"},
    "volume-to-root": {"target": "/"},
    "volume-to-proc": {"target": "/proc/self/root"},
    "volume-up": {"target": "../../../.."},
    "volume-deep": {"data": "/proc/self/root", "target": "/data/tmp"},
    "volume-to-descriptor": {"target": "/proc/self/fd/5"},
    "work-to-proc": {"work": "/proc/self/fd/7"},
    "loop": {"target": "target", "dev": "sys", "sys": "dev"},
}


def set_trap(root: Path, links: dict[str, str], canary: Path) -> None:
    for name, target in links.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target.format(canary=canary))


@pytest.fixture
def spec_of(tmp_path: Path):
    """Return a function that builds the specification of a container on a hostile root file system.

    The container has files that the engine mounts (such as /etc/hosts), a volume and a working directory.
    """
    (tmp_path / "hosts").write_text("10.0.0.1 own\n")
    (tmp_path / "volume").mkdir()

    def build(root: Path, canary: Path, **fields) -> dict[str, object]:
        return {
            "rootfs": str(root),
            "files": {name: str(tmp_path / "hosts") for name in ("/etc/hosts", "/etc/resolv.conf", "/etc/hostname")},
            "mounts": [Mount(str(tmp_path / "volume"), "/target")],
            "cwd": "/work",
            "env": [f"CANARY={canary}", f"PLACE={canary.parent}"],
            **fields,
        }

    return build


def check_host(canary: Path, output: str) -> None:
    assert CANARY not in output
    assert os.listdir(canary.parent) == ["canary"]
    assert canary.read_text() == CANARY
    mounted = [line.split()[4] for line in output.splitlines() if " - " in line]
    assert mounted.count("/") == 1 or not mounted


@pytest.mark.parametrize("overlay", [True, False], ids=["image", "directory"])
@pytest.mark.parametrize("links", LINKS.values(), ids=LINKS)
def test_container_of_a_hostile_root_reaches_no_file_of_the_host(lab, root, canary, spec_of, tmp_path, links, overlay):
    set_trap(root, links, canary)
    layer = {"overlay_dir": str(tmp_path / "layer")} if overlay else {}
    for tty in (False, True):
        fields = spec_of(root, canary, tty=tty, **layer)
        try:
            lab.launch("one", "sh", "-c", f"{PROBE}\nsleep 60", **fields)
        except RuntimeFailure as failure:
            check_host(canary, "")
            assert re.search("error mounting|error during container init|chdir to cwd", str(failure)), failure
            lab.runtime.delete("one")
            continue
        lab.await_output("one", "/dev/mqueue")
        check_host(canary, lab.output("one"))
        _, output = lab.exec("one", "sh", "-c", PROBE, env=fields["env"], tty=tty)
        check_host(canary, output)
        lab.runtime.delete("one")
        Path(lab.log("one")).unlink()


@pytest.mark.parametrize("links", [LINKS["dev-to-root"], LINKS["sys-up"], LINKS["etc-up"], LINKS["proc-to-root"]])
def test_image_links_at_docker_s_mount_points_become_real_directories(lab, root, canary, spec_of, tmp_path, links):
    """An image has symbolic links at paths where Docker mounts files. hawse replaces these links by real directories.

    Docker's result is the same, because Docker's own layer hides the links.
    """
    set_trap(root, links, canary)
    fields = spec_of(root, canary, overlay_dir=str(tmp_path / "layer"), cwd="/")
    output = lab.sh("ls -ld /dev /sys /proc /etc; cat /etc/hosts", **fields)
    assert [line[0] for line in output.splitlines()] == ["d", "d", "d", "d", "1"]
    assert all((root / name).is_symlink() for name in links)


def test_working_directory_below_proc_self_fd_is_refused(lab, root, canary):
    lab.launch("one", "sleep", "60", rootfs=str(root))
    for number in range(3, 20):
        path = f"/proc/self/fd/{number}"
        with pytest.raises(RuntimeFailure):
            lab.run("two", "pwd", rootfs=str(root), cwd=path)
        lab.runtime.delete("two")
        with pytest.raises(RuntimeFailure):
            lab.exec("one", "pwd", working_dir=path)


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_passwd_that_is_no_regular_file_or_leads_outside_has_no_users(lab, root, canary, name):
    (root / "etc").mkdir()
    file = root / "etc" / name
    canary.write_text("intruder:x:0:0::/:/bin/sh\nintruder:x:0:intruder\n")
    traps = {
        "pipe": lambda: os.mkfifo(file),
        "device": lambda: os.mknod(file, 0o020666, os.makedev(1, 5)),
        "link": lambda: file.symlink_to(f"/proc/self/root{canary}"),
        "upward": lambda: file.symlink_to(f"../../../../../../..{canary}"),
        "directory": file.mkdir,
    }
    user = "intruder" if name == "passwd" else "0:intruder"
    lab.launch("one", "sleep", "60", rootfs=str(root))
    for make in traps.values():
        make()
        with pytest.raises(RuntimeFailure, match="no matching entries in"):
            lab.run("two", "id", rootfs=str(root), user=user)
        lab.runtime.delete("two")
        with pytest.raises(RuntimeFailure, match="no matching entries in"):
            lab.exec("one", "id", user=user)
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()


def test_home_is_set_even_if_passwd_is_a_pipe(lab, root):
    (root / "etc").mkdir()
    os.mkfifo(root / "etc" / "passwd")
    assert lab.sh("echo $HOME", rootfs=str(root)) == "/\n"


def test_huge_passwd_is_read_up_to_a_limit(lab, root):
    (root / "etc").mkdir()
    with (root / "etc" / "passwd").open("w") as file:
        file.write("alice:x:7:8::/home/alice:/bin/sh\n")
        file.truncate(1 << 34)
    assert lab.sh("id -u", rootfs=str(root), user="alice") == "7\n"


def test_devices_of_a_root_cannot_be_opened(lab, root, tmp_path):
    """No process can open a device file that the root file system contains, or a device file that the container
    creates.

    The protection does not depend on a control group for devices.
    """
    os.mknod(root / "given", 0o020666, os.makedev(1, 7))
    script = "mknod /made c 1 7; mknod /dev/made c 1 7; cat /given; cat /made; cat /dev/made; true"
    for layer in ({}, {"overlay_dir": str(tmp_path / "layer")}):
        assert lab.sh(f"({script}) 2>&1", rootfs=str(root), **layer).count("Permission denied") == 3
        (root / "made").unlink(missing_ok=True)
