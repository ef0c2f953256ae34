"""Imports and removals of images are killed or fail, or several imports of one image run at the same time."""

from __future__ import annotations

import errno
import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivers.linux import process
from engine.images import ImageStore
from engine.store.sqlite import SqliteStore
from tests.conftest import loaded
from tests.installation import CHECKOUT
from tests.netns.engine.killing import killed, unwritable

from .archives import make_tar, saved

pytestmark = pytest.mark.netns

FILES = 150
ARCHIVE = saved(
    make_tar(("d", None), *((f"d/{n}", bytes([n % 256]) * 10_000) for n in range(FILES))),
    make_tar(("d/.wh.0", b""), ("e", b"end")),
)
IMPORT = f"""
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
from pathlib import Path
from engine.images import ImageStore
from engine.store.sqlite import SqliteStore
root = Path(sys.argv[1])
print("ready", flush=True)
print(ImageStore(SqliteStore(root / "hawse.db"), root).import_archive(open(sys.argv[2], "rb"), sys.argv[3]))
"""


@pytest.fixture
def plain(tmp_path: Path) -> str:
    """Return the path of an archive with a small root file system."""
    path = tmp_path / "plain.tar"
    path.write_bytes(make_tar(("a", b"data")))
    return str(path)


@pytest.fixture
def start(tmp_path: Path):
    """Return a function that starts an import of `ARCHIVE` in a separate process."""
    archive = tmp_path / "archive.tar"
    archive.write_bytes(ARCHIVE)

    def begin(name: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", IMPORT, str(tmp_path / "root"), str(archive), name]
        started = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        return started

    return begin


def check(root: Path) -> None:
    assert len(os.listdir(root / "d")) == FILES - 1
    assert all((root / "d" / str(n)).read_bytes() == bytes([n % 256]) * 10_000 for n in range(1, FILES))
    assert (root / "e").read_bytes() == b"end"


def test_killed_at_any_moment(images, rootfs, start, tmp_path):
    begin = time.monotonic()
    start("whole:1").wait(60)
    span = time.monotonic() - begin
    images.remove("whole:1")
    chance = random.Random(1)
    for _ in range(8):
        importing = start("killed:1")
        time.sleep(chance.uniform(0, span))
        importing.send_signal(signal.SIGKILL)
        importing.wait(60)
    images.import_archive(io.BytesIO(ARCHIVE), "app:2")
    check(rootfs("app:2"))
    digest = images.resolve("app:2").id.removeprefix("sha256:")
    assert os.listdir(tmp_path / "root" / "images") == [digest]
    known = {image["Id"]: image["RepoTags"] for image in images.list({})}
    assert known in ({f"sha256:{digest}": ["app:2"]}, {f"sha256:{digest}": ["killed:1", "app:2"]})


def test_what_unpacks_ends_with_the_command(start, tmp_path):
    """The process that unpacks an image ends together with the command that started the process.

    If the process continued, it would write files while the next command cleans up.
    """
    importing = start("killed:1")
    children: list[int] = []
    while importing.poll() is None and not children:
        text = Path(f"/proc/{importing.pid}/task/{importing.pid}/children").read_text()
        children = [int(pid) for pid in text.split()]
    started = process.start_time(children[0])
    while os.readlink(f"/proc/{children[0]}/root") == "/":
        time.sleep(0.001)
    os.kill(children[0], signal.SIGSTOP)  # a process that SIGSTOP has stopped cannot end by itself
    importing.send_signal(signal.SIGKILL)
    importing.wait(60)
    deadline = time.monotonic() + loaded(10)
    while alive := process.is_running(children[0], started):
        if time.monotonic() > deadline:
            os.kill(children[0], signal.SIGKILL)
            break
        time.sleep(0.01)
    assert not alive


def test_simultaneous_imports_give_one_image_with_all_names(images, rootfs, start, tmp_path):
    imports = [start(f"app:{n}") for n in range(4)]
    ids = {importing.communicate(timeout=100)[0] for importing in imports}
    assert len(ids) == 1
    check(rootfs("app:0"))
    (image,) = images.list({})
    assert sorted(image["RepoTags"]) == [f"app:{n}" for n in range(4)]
    assert os.listdir(tmp_path / "root" / "images") == [image["Id"].removeprefix("sha256:")]


def test_prune_deletes_the_files_that_a_killed_removal_left(host, plain):
    host.hawse("import", plain, "app:1")
    killed(host, "engine.images.store.remove_tree", "rmi", "app:1")
    assert "No such image" in host.hawse("rmi", "app:1", check=False).stderr
    assert os.listdir(host.root / "images")
    assert host.hawse("image", "prune", "-f").stdout == "Total reclaimed space: 0B\n"
    assert os.listdir(host.root / "images") == []


def test_files_that_cannot_be_deleted_do_not_prevent_another_removal_of_the_image(images, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("engine.images.store.remove_tree", fail)
    for _ in range(2):
        images.import_archive(io.BytesIO(ARCHIVE), "app:1")
        images.remove("app:1")
    assert images.list({}) == []


def test_an_image_whose_record_cannot_be_written_leaves_no_files(host, plain):
    done = unwritable(host, "engine.images.store._name", "import", plain, "app:1")  # the files are in place by then
    assert "cannot be read or written" in done.stderr
    assert os.listdir(host.root / "images") == []


def test_an_image_is_removed_from_a_disk_without_free_inodes(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=64,mode=0700", "hawse-test", str(disk)], check=True)
    try:
        store = SqliteStore(disk / "hawse.db")
        images = ImageStore(store, disk)
        images.import_archive(io.BytesIO(make_tar(("a", b"data"))), "app:1")
        with store.read():  # the store's log exists as long as it is open
            with pytest.raises(OSError, match="No space left"):
                for number in range(64):
                    (disk / f"filler{number}").touch()
            images.remove("app:1")
        assert os.listdir(disk / "images") == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
