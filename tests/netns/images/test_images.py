"""hawse imports images safely from every form of archive. Names, listing and removal are as with Docker."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from engine.errors import Conflict, EngineError, InvalidArgument, NotFound
from engine.images import ImageStore
from engine.images.limits import Limits
from engine.model import ContainerConfig, ContainerRecord, HostConfig

from .archives import layout, make_tar, saved, special

pytestmark = pytest.mark.netns


def test_plain_root_file_system(images, tmp_path, rootfs):
    tar = make_tar(("./bin", None), ("./bin/x", b"data"), ("bin/y", "= bin/x"), ("bin/z", "-> /etc/passwd"))
    image_id = images.import_archive(io.BytesIO(tar), "bb")
    root = rootfs("bb")
    assert (root / "bin" / "x").read_bytes() == b"data"
    assert (root / "bin" / "y").stat().st_ino == (root / "bin" / "x").stat().st_ino
    assert os.readlink(root / "bin" / "z") == "/etc/passwd"
    assert root == tmp_path / "root" / "images" / image_id.removeprefix("sha256:") / "rootfs"
    assert stat.S_IMODE((tmp_path / "root" / "images").stat().st_mode) == 0o700
    (summary,) = images.list({})
    assert (summary["RepoTags"], summary["Size"], summary["Id"]) == (["bb:latest"], 4 + len("/etc/passwd"), image_id)


def test_compressed_and_from_a_pipe(images, rootfs):
    read_end, write_end = os.pipe()
    os.write(write_end, gzip.compress(make_tar(("x", b"data"))))
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        images.import_archive(pipe, "zipped:1")
    assert (rootfs("zipped:1") / "x").read_bytes() == b"data"


def test_an_archive_of_docker_save_is_imported_with_its_configuration(images, rootfs):
    config = {
        "Cmd": ["sh"], "Entrypoint": None, "Env": ["A=1"], "User": "5", "WorkingDir": "/w",
        "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}, "StopSignal": "SIGINT",
    }  # fmt: skip
    archive = saved(
        make_tar(("d", None), ("d/a", b"1"), ("keep", b"k"), ("gone", b"g")),
        gzip.compress(make_tar(("d", None), ("d/.wh..wh..opq", b""), ("d/b", b"2"), (".wh.gone", b""))),
        config=config,
        tags=("app:1", "app:2"),
    )
    image_id = images.import_archive(io.BytesIO(archive), "")
    root = rootfs("app:2")
    assert sorted(p.relative_to(root).as_posix() for p in root.rglob("*")) == ["d", "d/b", "keep"]
    record = images.resolve("app:1")
    assert record.id == image_id
    assert (record.cmd, record.entrypoint, record.env, record.user) == (("sh",), None, ("A=1",), "5")
    assert (record.working_dir, record.exposed_ports, record.stop_signal) == ("/w", ("80/tcp",), "SIGINT")
    document = images.inspect("app:1")
    assert list(document)[:6] == ["Id", "RepoTags", "RepoDigests", "Parent", "Comment", "Created"]
    assert document["Config"]["ExposedPorts"] == {"80/tcp": {}}
    assert document["Config"]["Labels"] == {"a": "b"}


def test_an_oci_layout_is_imported_under_its_name(images):
    image_id = images.import_archive(io.BytesIO(layout(make_tar(("x", b"data")))), "")
    assert images.resolve("oci:2").id == image_id
    assert images.resolve("oci:2").cmd == ("sh",)


@pytest.mark.parametrize(
    "entries",
    [
        [("../escaped", b"x")],
        [("a/../../escaped", b"x")],
        [("link", "-> /"), ("link/escaped", b"x")],
        [("link", "-> ../../../../.."), ("link/escaped", b"x")],
        [("link", "= ../../../../../etc/passwd")],
        [("link", "= /etc/passwd")],
        [("etc", "-> /etc"), ("etc/.wh.passwd", b"")],
    ],
    ids=str,
)
def test_no_archive_reaches_outside_its_directory(images, tmp_path, entries):
    passwd = os.stat("/etc/passwd")
    with suppress(EngineError):  # hawse either refuses the archive, or unpacks it inside the directory
        images.import_archive(io.BytesIO(make_tar(*entries)), "evil")
    assert passwd.st_ino == os.stat("/etc/passwd").st_ino
    assert not Path("/escaped").exists()
    assert list(tmp_path.glob("*escaped*")) + list((tmp_path / "root").glob("*escaped*")) == []
    assert os.stat("/etc/passwd").st_nlink == passwd.st_nlink


def test_devices_modes_and_owners_are_kept(images, rootfs):
    tar = make_tar(
        ("null", special(tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)),
        ("pipe", special(tarfile.FIFOTYPE, mode=0o600)),
        ("suid", special(tarfile.REGTYPE, mode=0o4755, uid=7, gid=8, mtime=1000)),
    )
    images.import_archive(io.BytesIO(tar), "bb")
    root = rootfs("bb")
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    suid = (root / "suid").stat()
    assert (stat.S_IMODE(suid.st_mode), suid.st_uid, suid.st_gid, suid.st_mtime) == (0o4755, 7, 8, 1000)


def test_a_directory_keeps_its_time_whatever_the_layer_changes_in_it(images, rootfs):
    """Docker 26.1.5 sets the times of a layer's directories last. A directory that the layer does not list gets the
    time of the import.
    """

    def directory(seconds: int) -> tarfile.TarInfo:
        return special(tarfile.DIRTYPE, mode=0o755, mtime=seconds)

    lower = make_tar(
        ("./", directory(500)), ("d/", directory(1000)), ("d/f", b"1"), ("d/sub/", directory(2000)), ("d/sub/x", b"2"),
        ("e/x", b"3"), ("e/", directory(3000)), ("d/z", b"4"), ("k/", directory(4000)), ("k/a", b"5"),
        ("w/", directory(5000)), ("w/a", b"6"), ("w/b", b"7"), ("im/x", b"8"),
    )  # fmt: skip
    upper = make_tar(
        ("d/", directory(1001)), ("d/.wh.f", b""), ("k/b", b"9"), ("w/", directory(5001)), ("w/.wh..wh..opq", b""),
        ("w/c", b"10"),
    )  # fmt: skip
    before = time.time() - 1
    images.import_archive(io.BytesIO(saved(lower, upper)), "")
    times = {name: (rootfs("app:1") / name).stat().st_mtime for name in ("", "d", "d/sub", "e", "k", "w", "im")}
    listed = {"": 500, "d": 1001, "d/sub": 2000, "e": 3000, "w": 5001}
    assert {name: seconds for name, seconds in times.items() if seconds < before} == listed
    assert sorted(path.name for path in (rootfs("app:1") / "w").iterdir()) == ["c"]


def test_size_limit_and_broken_archives_leave_nothing(store, tmp_path):
    small = ImageStore(store, tmp_path / "root", Limits(100_000))
    bomb = gzip.compress(make_tar(("zeros", b"\0" * 10_000_000)))
    for archive, text in (
        (bomb, "larger than 100000 bytes"),
        (b"notatar\n", "unexpected EOF"),
        (make_tar(("manifest.json", b"[{}]")), "manifest.json"),
        (make_tar(("manifest.json", b"{")), "manifest.json"),
    ):
        with pytest.raises(InvalidArgument, match=text):
            small.import_archive(io.BytesIO(archive), "bb")
    assert list((tmp_path / "root" / "images").iterdir()) == []
    assert small.list({}) == []


def test_name_moves_to_the_newer_image(images):
    first = images.import_archive(io.BytesIO(make_tar(("x", b"1"))), "bb")
    second = images.import_archive(io.BytesIO(make_tar(("x", b"2"))), "bb")
    assert images.resolve("bb").id == second
    assert images.inspect(first)["RepoTags"] == []
    assert [s["Id"] for s in images.list({"dangling": ["true"]})] == [first]


def test_same_archive_twice_is_one_image_with_two_names(images):
    archive = saved(make_tar(("x", b"1")))
    assert images.import_archive(io.BytesIO(archive), "a") == images.import_archive(io.BytesIO(archive), "b")
    assert images.inspect("a")["RepoTags"] == ["a:latest", "b:latest"]
    assert images.list({"reference": ["b*"]})[0]["RepoTags"] == ["b:latest"]
    assert images.list({"reference": []}) == []


def test_removal_untags_first_and_deletes_last(images, tmp_path):
    archive = saved(make_tar(("x", b"1")), tags=("a:1", "b:2"))
    image_id = images.import_archive(io.BytesIO(archive), "")
    short = image_id.removeprefix("sha256:")[:12]
    with pytest.raises(Conflict) as conflict:
        images.remove(short)
    text = f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
    assert str(conflict.value) == text
    assert images.remove("a:1") == [{"Untagged": "a:1"}]
    assert images.remove(short) == [{"Untagged": "b:2"}, {"Deleted": image_id}]
    assert list((tmp_path / "root" / "images").iterdir()) == []
    for reference, name in (("a:1", "a:1"), ("nosuch", "nosuch:latest"), (image_id, image_id)):
        with pytest.raises(NotFound) as missing:
            images.remove(reference)
        assert str(missing.value) == f"No such image: {name}"


def test_image_of_a_container_stays(images, store, rootfs):
    image_id = images.import_archive(io.BytesIO(make_tar(("x", b"1"))), "bb")
    record = ContainerRecord(
        id="c" * 64, name="c1", created="2026-01-01T00:00:00Z", config=ContainerConfig("bb"), host=HostConfig(),
        image_id=image_id,
    )  # fmt: skip
    with store.write() as transaction:
        transaction.put_container(record)
    short = image_id.removeprefix("sha256:")[:12]
    with pytest.raises(Conflict) as conflict:
        images.remove("bb")
    assert str(conflict.value) == (
        f'conflict: unable to remove repository reference "bb" (must force) - '
        f"container {'c' * 12} is using its referenced image {short}"
    )
    assert images.remove("bb", force=True) == [{"Untagged": "bb:latest"}]
    assert rootfs(image_id).is_dir()


def test_unknown_filter_is_refused(images):
    with pytest.raises(InvalidArgument, match="invalid filter 'foo'"):
        images.list({"foo": ["x"]})


def test_what_a_killed_removal_left_is_not_taken_for_an_image(images, store, tmp_path):
    """A command that removed an image was killed after it had deleted the image's record and half of its files.

    The remaining files must not count as an image.
    """
    archive = make_tar(("a", b"one"), ("b", b"two"))
    first = images.import_archive(io.BytesIO(archive), "some")
    place = tmp_path / "root" / "images" / first.removeprefix("sha256:")
    config = (place / "config.json").read_bytes()
    with store.write() as tx:
        tx.delete_image(first)
    (place / "rootfs" / "b").unlink()
    saved = make_tar(
        ("config.json", config),
        ("layer.tar", archive),
        ("manifest.json", json.dumps([{"Config": "config.json", "Layers": ["layer.tar"]}]).encode()),
    )
    assert images.import_archive(io.BytesIO(saved), "some") == first
    assert sorted(os.listdir(place / "rootfs")) == ["a", "b"]


def test_the_next_change_of_images_deletes_files_without_a_record(images, store, tmp_path):
    lost, kept = (images.import_archive(io.BytesIO(make_tar((name, b""))), name) for name in ("one", "two"))
    with store.write() as tx:
        tx.delete_image(lost)
    removed = images.import_archive(io.BytesIO(make_tar(("three", b""))), "three")
    images.remove(removed)
    assert os.listdir(tmp_path / "root" / "images") == [kept.removeprefix("sha256:")]


def test_prune_leaves_an_image_that_came_into_use(images, monkeypatch):
    image = images.import_archive(io.BytesIO(make_tar(("./x", b"data"))), "")

    def in_use(reference, *, force):
        raise Conflict("in use")

    monkeypatch.setattr(images, "remove", in_use)
    assert images.prune({}) == ([], 0)
    assert [each["Id"] for each in images.list({})] == [image]
