"""A hostile image, or a hostile process in a container, attacks the host's own files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.model import ExecCreate, Mount
from engine.runtime.api import RuntimeFailure, Stdio
from tests.conftest import install_busybox, until

pytestmark = pytest.mark.netns


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with busybox and an empty directory /proc."""
    root = tmp_path / "image"
    (root / "proc").mkdir(parents=True)
    install_busybox(root, "sh", "cat", "head", "ls", "mknod", "wc")
    return root


def test_program_that_makes_the_container_cannot_be_changed_through_the_waiting_process(lab, image):
    """The program that starts a container loads libraries of a hostile image (as in CVE-2019-5736 of runc).

    These libraries must not be able to change the program's file on the host.
    """
    lab.runtime.create(lab.spec("one", "busybox", "sleep", "60", rootfs=str(image)))
    program = f"/proc/{lab.runtime.prepared('one').pid}/exe"
    sealed = os.readlink(program).startswith("/memfd:")
    assert sealed or os.statvfs(program).f_flag & os.ST_RDONLY


def test_executed_command_has_its_three_streams_and_no_other_descriptor(lab, image):
    lab.launch("one", "busybox", "sleep", "60", rootfs=str(image))
    assert lab.exec("one", "ls", "/proc/self/fd")[1].split() == ["0", "1", "2", "3"]  # 3 is the directory that ls reads


@pytest.mark.parametrize("name", ["etc", "sys", "dev", "data", "work"])
@pytest.mark.parametrize("tty", [False, True])
def test_links_of_an_image_to_open_descriptors_create_no_file_on_the_host(lab, image, tmp_path, name, tty):
    (tmp_path / "hosts").write_text("10.0.0.1 own\n")
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / "volume").mkdir()
    for fd in range(3, 24):
        link = image / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/proc/self/fd/{fd}{victim}")
        fields = {
            "files": {"/etc/hosts": str(tmp_path / "hosts")},
            "mounts": [Mount(str(tmp_path / "volume"), "/data/deep")],
            "cwd": "/work/deep",
            "tty": tty,
        }
        try:
            lab.run(f"trap{fd}", "busybox", "true", rootfs=str(image), **fields)
        except RuntimeFailure:
            continue  # skip this link, because its target is not a directory
        finally:
            lab.runtime.delete(f"trap{fd}")
    assert os.listdir(victim) == []


def test_devices_made_in_a_volume_cannot_be_opened(lab, image, tmp_path):
    (tmp_path / "volume").mkdir()
    mounts = [Mount(str(tmp_path / "volume"), "/volume"), Mount("/dev/zero", "/given")]
    script = "mknod /volume/full c 1 7; head -c 4 /volume/full 2>&1; head -c 4 /given | wc -c"
    output = lab.sh(script, rootfs=str(image), mounts=mounts)
    assert "Permission denied" in output
    assert output.endswith("\n4\n")  # the container may read /dev/zero, which the user mounted on purpose


DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))


@pytest.fixture
def modes() -> Iterator[Callable[[], list[int]]]:
    """A function that returns the modes of the host's devices; the modes are restored after the test."""
    before = [os.stat(path).st_mode for path in DEVICES]
    yield lambda: [os.stat(path).st_mode for path in DEVICES]
    for path, mode in zip(DEVICES, before, strict=True):
        os.chmod(path, stat.S_IMODE(mode))


@pytest.mark.parametrize("privileged", [False, True])
@pytest.mark.usefixtures("either")
def test_a_container_cannot_change_the_hosts_devices(lab, modes, privileged):
    """Neither the container's device files nor its streams are files of the host's /dev."""
    before, change = modes(), f"chmod 604 {' '.join(DEVICES)} /proc/self/fd/0; ls -l /dev/full"
    assert lab.sh(change, privileged=privileged).startswith("crw----r--")
    assert modes() == before
    lab.launch("one", "sleep", "60", privileged=privileged)
    lab.exec("one", "sh", "-c", "chmod 604 /proc/self/fd/0")
    null = os.open(os.devnull, os.O_RDWR)
    script = "chmod 604 /proc/self/fd/0 /proc/self/fd/1; : > /dev/shm/done"
    request = ExecCreate(cmd=["sh", "-c", script], attach_stdin=True)
    assert lab.runtime.exec("one", request, Stdio(null, null, null)) == 0
    os.close(null)
    lab.exec("one", "rm", "/dev/shm/done")
    lab.runtime.exec("one", replace(request, detach=True, attach_stdin=False), Stdio(0, 1, 2))
    until(lambda: lab.exec("one", "ls", "/dev/shm/done")[0] == 0)
    assert modes() == before


def test_root_of_a_container_keeps_the_flags_of_its_mount(lab, image, tmp_path):
    """The container's root keeps the flags of the mount that its directory is on, for example read-only."""
    from engine.runtime import syscalls

    place = tmp_path / "mounted"
    place.mkdir()
    for name in ("dev", "sys"):
        (image / name).mkdir()
    syscalls.bind(str(image), str(place))
    try:
        syscalls.make_read_only(str(place))
        output = lab.sh("echo x > /written 2>&1 || true", rootfs=str(place))
    finally:
        syscalls.unmount(str(place))
    assert "Read-only file system" in output
    assert not (image / "written").exists()


def test_command_cannot_write_to_the_file_of_its_standard_input(lab, image, tmp_path):
    source, taken = tmp_path / "given", tmp_path / "taken"
    source.write_text("content\n")
    lab.launch("one", "busybox", "sleep", "60", rootfs=str(image))
    script = "cat; echo out; echo err >&2; echo forged > /proc/self/fd/0; true"
    with source.open() as stdin, taken.open("w+") as output:
        stdio = Stdio(stdin.fileno(), output.fileno(), output.fileno())
        lab.runtime.exec("one", ExecCreate(cmd=["sh", "-c", script], attach_stdin=True), stdio)
    assert source.read_text() == "content\n"
    assert taken.read_text() == "content\nout\nerr\n"


def test_much_input_and_output_do_not_wait_for_each_other(lab, image, tmp_path):
    (tmp_path / "given").write_bytes(b"i" * 3_000_000)
    lab.launch("one", "busybox", "sleep", "60", rootfs=str(image))
    script = "head -c 3000000 /dev/zero; busybox wc -c >&2"
    with (
        (tmp_path / "given").open() as stdin,
        (tmp_path / "out").open("wb") as out,
        (tmp_path / "err").open("wb") as err,
    ):
        stdio = Stdio(stdin.fileno(), out.fileno(), err.fileno())
        assert lab.runtime.exec("one", ExecCreate(cmd=["sh", "-c", script], attach_stdin=True), stdio) == 0
    assert (tmp_path / "out").stat().st_size == 3_000_000
    assert (tmp_path / "err").read_text() == "3000000\n"


@pytest.mark.parametrize("user", ["4294967295", "-1", "99999999999", "0:4294967295", "-2:0", "huge"])
def test_numbers_of_users_and_groups_have_docker_range(lab, image, user):
    """A user id or group id outside Docker's range is refused, with the error text of moby's user package.

    For setresuid(2), the id 4294967295 means "do not change". Therefore, the process would stay root.
    """
    (image / "etc").mkdir(exist_ok=True)
    (image / "etc/passwd").write_text(f"huge:x:{'9' * 5000}:0::/:/bin/sh\n")
    lab.launch("one", "busybox", "sleep", "60", rootfs=str(image))
    with pytest.raises(RuntimeFailure, match=r"uids and gids must be in range 0-2147483647(: unknown)?$"):
        lab.run("two", "true", rootfs=str(image), user=user)
    with pytest.raises(RuntimeFailure, match=r"uids and gids must be in range 0-2147483647(: unknown)?$"):
        lab.exec("one", "true", user=user)


def test_user_given_as_a_superscript_digit_is_a_name(lab, image):
    with pytest.raises(RuntimeFailure, match=r"^unable to find user ²: no matching entries in passwd file$"):
        lab.run("one", "true", rootfs=str(image), user="²")
