"""A saved archive has all files of the images with their attributes. hawse and a real Docker can load it again."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from engine.errors import InvalidArgument, NotFound

from .archives import make_tar, saved

pytestmark = pytest.mark.netns


def tree(root: Path) -> dict[bytes, tuple[object, ...]]:
    """Return type, mode, owner, time, content and attributes of each file, by the file's name.

    The last value is equal for all hard links of one file: the first of the file's names.
    """
    entries: dict[bytes, tuple[object, ...]] = {}
    first: dict[int, bytes] = {}
    for directory, names, files in os.walk(os.fsencode(root)):
        for path in sorted(os.path.join(directory, name) for name in (*names, *files)):
            status, name = os.lstat(path), os.path.relpath(path, os.fsencode(root))
            link = stat.S_ISLNK(status.st_mode)
            content = os.readlink(path) if link else Path(os.fsdecode(path)).read_bytes() if stat.S_ISREG(
                status.st_mode) else b""  # fmt: skip
            xattrs = () if link else tuple((key, os.getxattr(path, key)) for key in sorted(os.listxattr(path)))
            same = name if stat.S_ISDIR(status.st_mode) else first.setdefault(status.st_ino, name)
            entries[name] = (status.st_mode, status.st_uid, status.st_gid, int(status.st_mtime), status.st_rdev,
                             content, xattrs, same)  # fmt: skip
    return entries


def saved_bytes(images, *references: str) -> bytes:
    target = io.BytesIO()
    images.save(references, target)
    return target.getvalue()


def manifest(archive: bytes) -> list[dict[str, object]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return json.load(tar.extractfile("manifest.json"))


def test_a_saved_image_has_all_files_and_loads_again(images, rootfs):
    first = make_tar(("bin", None), ("bin/busybox", (b"program", 0o4755)), ("bin/sh", "-> busybox"),
                     ("bin/cat", "= bin/busybox"), ("gone", b"x"), ("a b", b"odd"))  # fmt: skip
    second = make_tar((".wh.gone", b""), ("etc", None), ("etc/passwd", b"root"))
    config = {"Cmd": ["sh"], "Env": ["A=1"], "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}, "User": "5"}
    images.load(io.BytesIO(saved(first, second, config=config, tags=("app:1", "app:2"))))
    root = rootfs("app:1")
    os.mkfifo(root / "pipe")
    os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(root / "bin" / "busybox", "security.capability", capability)
    os.setxattr(root / "etc" / "passwd", "user.text", "é".encode())
    Path(os.fsdecode(os.fsencode(root) + b"/\xff name")).write_bytes(b"no unicode")
    os.chown(root / "etc", 70_000, 3_000_000)
    before, shown = tree(root), images.inspect("app:1")
    archive = saved_bytes(images, "app")
    assert [(image["RepoTags"], len(image["Layers"])) for image in manifest(archive)] == [(["app:1", "app:2"], 1)]
    assert saved_bytes(images, "app") == archive, "the same image gives the same archive"
    images.remove(shown["Id"], force=True)
    (loaded,) = images.load(io.BytesIO(archive))
    assert list(loaded.references) == ["app:1", "app:2"]
    assert tree(rootfs("app:2")) == before
    again = images.inspect("app:1")
    for key in ("Config", "Created", "Architecture", "Os"):
        assert again[key] == shown[key]
    assert saved_bytes(images, "app") == archive, "an image with one layer keeps its id"


def test_names_and_ids_of_saved_images(images):
    images.import_archive(io.BytesIO(make_tar(("x", b"1"))), "one:1")
    other = images.import_archive(io.BytesIO(make_tar(("x", b"2"))), "two:1")
    images.tag("one:1", "reg.lan:5000/one:2")
    assert [image["RepoTags"] for image in manifest(saved_bytes(images, "one:1", "two", "one:1"))] == [
        ["one:1"], ["two:1"]
    ]  # fmt: skip
    assert [image["RepoTags"] for image in manifest(saved_bytes(images, "reg.lan:5000/one"))] == [
        ["reg.lan:5000/one:2"]
    ]
    assert [image["RepoTags"] for image in manifest(saved_bytes(images, other.removeprefix("sha256:")[:12]))] == [None]
    target = io.BytesIO()
    with pytest.raises(NotFound, match=r"^No such image: nosuch$"):
        images.save(["one:1", "nosuch"], target)
    with pytest.raises(InvalidArgument, match="must be lowercase"):
        images.save(["A"], target)
    assert target.getvalue() == b"", "nothing is written if one image is missing"


@pytest.mark.parametrize("archive", [b"", make_tar(("x", b"1"))])
def test_an_archive_without_a_manifest_is_for_import_alone(images, archive):
    """Docker 26.1.5 refuses to load it too. Otherwise a pipe whose first program failed would give an empty image."""
    with pytest.raises(InvalidArgument, match=r"^the archive has no manifest.json"):
        images.load(io.BytesIO(archive))
    assert images.import_archive(io.BytesIO(archive), "")
