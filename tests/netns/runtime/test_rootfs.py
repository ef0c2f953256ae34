"""The files that a container sees, and the protection of the host's own files against the container."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.model import Mount
from engine.runtime.api import RuntimeFailure

pytestmark = pytest.mark.netns

BUSYBOX = shutil.which("busybox")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A root file system with busybox. The file system has symbolic links that harm programs which follow links."""
    root = tmp_path / "image"
    for name in ("bin", "etc", "proc"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin")
    for applet in ("sh", "cat", "ls", "readlink", "mknod", "touch"):
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("alice:x:7:8::/home/alice:/bin/sh\n")
    (root / "etc" / "resolv.conf").symlink_to("/trap/resolv.conf")
    (root / "dev").symlink_to("/trap")
    return root


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "hosts").write_text("10.0.0.1 own\n")
    (tmp_path / "resolv").write_text("nameserver 10.9.9.9\n")
    return {"/etc/hosts": str(tmp_path / "hosts"), "/etc/resolv.conf": str(tmp_path / "resolv")}


def test_hostfs_has_its_own_etc_files_and_does_not_change_the_hosts(lab, files):
    def snapshot() -> tuple[list[tuple[str, int]], bytes]:
        return sorted((e.name, e.inode()) for e in os.scandir("/etc")), Path("/etc/hosts").read_bytes()

    before = snapshot()
    assert lab.sh("cat /etc/hosts /etc/resolv.conf", files=files) == "10.0.0.1 own\nnameserver 10.9.9.9\n"
    assert lab.sh("echo 1.2.3.4 mine >> /etc/hosts; tail -1 /etc/hosts", files=files) == "1.2.3.4 mine\n"
    assert before == snapshot()
    assert files["/etc/hosts"] not in Path("/proc/self/mountinfo").read_text()
    assert Path(files["/etc/hosts"]).read_text().endswith("mine\n")


def test_file_that_the_host_lacks_is_created_only_for_the_container(lab, files, tmp_path):
    etc = tmp_path / "etc"
    (etc / "sub").mkdir(parents=True)
    (etc / "other").write_text("other\n")
    (etc / "link").symlink_to("other")
    (etc / "dangling").symlink_to("/nowhere/at/all")
    expected = {f"{etc}/missing": files["/etc/hosts"], f"{etc}/dangling": files["/etc/resolv.conf"]}
    output = lab.sh(f"cd {etc}; cat missing dangling link; ls; echo new >> other", files=expected)
    assert output == "10.0.0.1 own\nnameserver 10.9.9.9\nother\ndangling\nlink\nmissing\nother\nsub\n"
    assert sorted(os.listdir(etc)) == ["dangling", "link", "other", "sub"]
    assert (etc / "other").read_text() == "other\nnew\n"


def test_caller_mount_tree_is_what_a_container_sees(lab, tmp_path):
    """The container sees the mounts of the command that started the container, not the supervisor's mounts.

    The two can differ: `ip netns exec` gives its command a separate mount namespace.
    """
    lab.launch("first", "sleep", "60")
    (tmp_path / "mine").mkdir()
    code = (
        "import sys; sys.path.insert(0, 'tests/netns/runtime'); from pathlib import Path; from conftest import Lab\n"
        "print(Lab(Path(sys.argv[1]), '').run('one', 'ls', sys.argv[1] + '/mine'))"
    )
    script = 'mount -t tmpfs t "$1/mine" && touch "$1/mine/here" && exec /tmp/venv/bin/python -c "$0" "$1"'
    script = script.replace("/tmp/venv/bin/python", __import__("sys").executable)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, code, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "(0, 'here\\n')\n", done.stderr


def test_kernel_paths_are_protected_unless_privileged(lab):
    assert "Read-only" in lab.sh(
        "echo 1 > /proc/sys/net/ipv4/ip_forward || true; touch /sys/x 2>&1 || true", privileged=False
    )
    assert lab.sh("ls /proc/acpi /sys/firmware 2>/dev/null | grep -v : || true").strip() == ""
    assert lab.sh("echo 1 > /proc/sys/net/ipv4/ip_forward; cat /proc/sys/net/ipv4/ip_forward", privileged=True) == "1\n"


def test_every_user_may_serve_low_ports_and_ping_in_a_network_of_the_containers_own(lab):
    read = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range"
    assert lab.sh(read).split() == ["0", "0", "2147483647"]
    assert lab.sh(read, sysctls={"net.ipv4.ip_unprivileged_port_start": "77"}).split() == ["77", "0", "2147483647"]
    on_host = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().split()
    assert lab.sh(read, netns="host").split()[:1] == on_host


def test_devices_are_few_and_no_other_can_be_opened(lab):
    names = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert lab.sh("echo $(ls /dev)").strip() == names
    assert lab.sh("mknod /dev/shm/vda b 254 0; cat /dev/shm/vda 2>&1 | head -c 99 || true").endswith(
        "Permission denied\n"
    )


def test_a_read_only_hostfs_has_only_dev_shm_writable(lab, tmp_path):
    script = f"touch {tmp_path}/x 2>&1; touch /etc/x 2>&1; touch /dev/shm/x && echo shm; true"
    output = lab.sh(script, read_only=True)
    assert output.count("Read-only file system") == 2
    assert output.endswith("shm\n")


def test_binds_show_and_create_files_of_the_host(lab, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "file").write_text("content\n")
    mounts = [
        Mount(str(tmp_path / "a"), "/mnt"),
        Mount(str(tmp_path / "file"), "/mnt/f", read_only=True),
        Mount(str(tmp_path / "new" / "dir"), "/srv", read_only=True),
    ]
    output = lab.sh("echo x > /mnt/written; cat /mnt/f; touch /mnt/f 2>&1; touch /srv/x 2>&1; true", mounts=mounts)
    assert output.startswith("content\n")
    assert output.count("Read-only file system") == 2
    assert (tmp_path / "a" / "written").exists()
    assert (tmp_path / "new" / "dir").is_dir()


def test_bind_of_a_file_over_a_directory_says_what_docker_says(lab, tmp_path):
    (tmp_path / "file").write_text("")
    lab.runtime.create(lab.spec("one", "true", mounts=[Mount(str(tmp_path / "file"), "/mnt")]))
    with pytest.raises(
        RuntimeFailure, match="not a directory: unknown: Are you trying to mount a directory onto a file"
    ):
        lab.runtime.start("one")


def test_image_is_the_root_and_its_links_lead_nowhere_else(lab, image, files):
    assert lab.sh("ls /", rootfs=str(image), files=files).split() == ["bin", "dev", "etc", "proc", "sys", "trap"]
    assert lab.sh("cat /etc/resolv.conf", rootfs=str(image), files=files) == "nameserver 10.9.9.9\n"
    assert not Path("/trap").exists()
    roots = "busybox awk '$5 == \"/\"' /proc/self/mountinfo | busybox wc -l"
    assert lab.sh(roots, rootfs=str(image)) == "1\n"
    assert lab.sh("busybox id -u; echo $HOME", rootfs=str(image), user="alice") == "7\n/home/alice\n"


def test_writable_layer_is_kept_and_the_image_is_not_touched(lab, image, tmp_path):
    before = sorted(os.listdir(image))
    layer = {"rootfs": str(image), "overlay_dir": str(tmp_path / "layer, odd:name")}
    lab.sh("echo kept > /note; busybox rm -r /etc", **layer, cwd="/work")
    assert lab.sh("cat /note; ls -d /etc 2>&1; true", **layer).startswith("kept\n/etc\n") is False
    assert lab.sh("cat /note", **layer) == "kept\n"
    assert sorted(os.listdir(image)) == before


def test_read_only_image(lab, image, files, tmp_path):
    layer = {"rootfs": str(image), "overlay_dir": str(tmp_path / "layer"), "files": files}
    output = lab.sh("touch /x 2>&1; echo >> /etc/hosts; touch /dev/shm/x && echo shm; true", read_only=True, **layer)
    assert output.count("Read-only file system") == 2
    assert "shm\n" in output


def test_exec_is_in_the_image_too(lab, image):
    lab.launch("one", "busybox", "sleep", "60", rootfs=str(image))
    assert lab.exec("one", "ls", "/bin")[1].split() == ["busybox", "cat", "ls", "mknod", "readlink", "sh", "touch"]


def test_nothing_stays_mounted_on_the_host(lab, image, tmp_path):
    lab.sh("true", rootfs=str(image), overlay_dir=str(tmp_path / "layer"))
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
