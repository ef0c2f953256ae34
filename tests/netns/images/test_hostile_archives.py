"""Image archives whose members, headers or sizes are made to do harm. hawse refuses such an archive and leaves none of
its files.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import resource
import stat
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from pathlib import Path

import pytest

from engine.errors import InvalidArgument
from engine.images import ImageStore
from engine.images import archive as archive_module
from engine.images.limits import Limits
from engine.store.sqlite import SqliteStore
from tests.installation import CHECKOUT

from .archives import image_config, make_tar, old_saved, pax_member, saved, special

pytestmark = pytest.mark.netns

TWO = make_tar(("a", b"1"), ("b", b"2"))
ESCAPE = "\x1b[31m\n"

REFUSED = {
    "climbing name": (make_tar(("a/../../b", b"")), "leads out of the archive"),
    "climbing hard link": (make_tar(("h", "= ../../etc/passwd")), "leads out of the archive"),
    "hard link to nothing": (make_tar(("h", "= nope")), "link /nope /h: no such file or directory"),
    "hard link to itself": (make_tar(("h", "= h")), "link /h /h: no such file or directory"),
    "hard link to a directory": (make_tar(("d", None), ("h", "= d")), "link /d /h: operation not permitted"),
    "file as a directory": (make_tar(("a", b""), ("a/b", b"")), "open /a/b: not a directory"),
    "name of 300 bytes": (pax_member("n" * 300, {}), "file name too long"),
    "path of 4096 bytes": (pax_member("n/" * 2048, {}), "file name too long"),
    "path of 3 MB": (make_tar(("d/" * 1_500_000, b"")), "archive/tar: header field too long"),
    "two files of one name": (make_tar(("a", b"1"), ("./a", b"2")), "duplicates of file paths not supported"),
    "root that is a file": (make_tar(("./", special(b"0"))), "the root of the archive is not a directory"),
    "unknown kind": (make_tar(("a", special(b"Z"))), "unhandled tar header type 90"),
    "checksum": (TWO[:1024] + b"x" + TWO[1025:], "archive/tar: invalid tar header"),
    "garbage between members": (TWO[:1024] + b"A" * 512 + TWO[1024:], "archive/tar: invalid tar header"),
    "single block of zeros": (TWO[:1024] + bytes(512) + TWO[1024:], "archive/tar: invalid tar header"),
    "end within a file": (make_tar(("a", b"x" * 5000))[:2048], "unexpected EOF"),
    "end within a header": (TWO[:1100], "unexpected EOF"),
    "pax header of 1 MiB": (pax_member("a", {"comment": "x" * (1 << 20)}), "archive/tar: header field too long"),
    "NUL in a pax path": (pax_member("a", {"path": "a\0b"}), "archive/tar: invalid tar header"),
    "negative size": (pax_member("a", {"size": "-1"}), "archive/tar: invalid tar header"),
    "size beyond the archive": (pax_member("a", {"size": "9999999"}), "unexpected EOF"),
    "time that is no number": (pax_member("a", {"mtime": "nan"}), "archive/tar: invalid tar header"),
    "user id of -1": (pax_member("a", {"uid": "-1"}), "/a: invalid user or group id"),
    "group id of 2**32": (pax_member("a", {"gid": str(2**32)}), "/a: invalid user or group id"),
    "broken capabilities": (
        pax_member("a", {"SCHILY.xattr.security.capability": "junk"}),
        "lsetxattr security.capability /a: invalid argument",
    ),
    "escapes in a name": (make_tar((ESCAPE, "= nope")), 'link /nope "/\\u001b[31m\\u000a": no such file'),
    "more behind gzip": (gzip.compress(TWO) + b"junk", "data follows the end of the compressed archive"),
    "gzip cut off": (gzip.compress(TWO)[:-9], "unexpected EOF"),
    "broken gzip": (b"\x1f\x8bjunkjunkjunk", "cannot decompress the archive"),
    "broken bzip2": (b"BZhjunkjunkjunk", "cannot decompress the archive"),
    "broken xz": (b"\xfd7zXZ\0junkjunkjunk", "cannot decompress the archive"),
    "broken zstd": (b"\x28\xb5\x2f\xfdjunkjunkjunk", "cannot decompress the archive"),
    "xz that needs 1 GiB": (
        lzma.compress(TWO, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]), "cannot decompress the archive"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("archive", "text"), REFUSED.values(), ids=REFUSED)
def test_hostile_root_file_systems_are_refused(images, left, archive, text):
    with pytest.raises(InvalidArgument) as refusal:
        images.import_archive(io.BytesIO(archive), "x")
    assert text in str(refusal.value)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 1000
    assert left() == []


@pytest.mark.parametrize(("archive", "text"), REFUSED.values(), ids=REFUSED)
def test_hostile_layers_are_refused(images, left, archive, text):
    whole = old_saved({"l": archive}, image_config([b""]), ["l"])
    with pytest.raises(InvalidArgument) as refusal:
        images.import_archive(io.BytesIO(whole), "")
    assert text in str(refusal.value)
    assert left() == []


MANIFESTS = {
    "nested": (b"[" * 101 + b"]" * 101, "exceeded max depth"),
    "nested 100,000 deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "exceeded max depth"),
    "large": (b"[" + b" " * (4 << 20) + b"]", "manifest.json is larger than 4194304 bytes"),
    "no JSON": (b"[", "manifest.json"),
    "NaN": (b"[NaN]", "manifest.json"),
    "object": (b"{}", "json: cannot unmarshal object into Go value of type []tarexport.manifestItem"),
    "number": (b"[1]", "json: cannot unmarshal number into Go value of type tarexport.manifestItem"),
    "no configuration": (b"[{}]", "manifest.json: an image without Config"),
    "layers of another type": (b'[{"Config": "c", "Layers": 5}]', "manifestItem.Layers of type []string"),
    "layer of another type": (b'[{"Config": "c", "Layers": [5]}]', "manifestItem.Layers of type string"),
    "many images": (b"[" + b'{"Config":"c"},' * 1000 + b'{"Config":"c"}]', "more than 1000 images"),
    "no images": (b"[]", "the archive holds no image"),
}


@pytest.mark.parametrize(("document", "text"), MANIFESTS.values(), ids=MANIFESTS)
def test_hostile_documents_are_refused(images, left, document, text):
    archive = make_tar(("c", image_config([])), ("manifest.json", document))
    with pytest.raises(InvalidArgument) as refusal:
        images.import_archive(io.BytesIO(archive), "")
    assert text in str(refusal.value)
    assert left() == []


def test_a_document_that_is_named_many_times_is_refused_early(images, left):
    """A small archive names one large configuration 1,000 times. To parse it each time would take 9 minutes."""
    config = image_config([], author="a" * (3 << 20))
    archive = make_tar(("c", config), ("manifest.json", json.dumps([{"Config": "c"}] * 1000).encode()))
    with pytest.raises(InvalidArgument, match="the archive's documents are larger than 33554432 bytes"):
        images.import_archive(io.BytesIO(archive), "")
    assert left() == []


def test_an_index_that_is_named_many_times_is_refused_early(images, left):
    """Two levels of indexes name one index without images. Altogether it would be read 4 million times."""
    from .archives import blob

    blobs, inner = {}, b'{"manifests": []}'
    for _ in range(2):
        blobs[f"blobs/sha256/{blob(inner)}"] = inner
        inner = json.dumps({"manifests": [{"digest": f"sha256:{blob(inner)}"}] * 2000}).encode()
    archive = make_tar(("oci-layout", b"{}"), ("index.json", inner), *blobs.items())
    with pytest.raises(InvalidArgument, match="the archive's documents are larger than"):
        images.import_archive(io.BytesIO(archive), "")
    assert left() == []


def test_images_beyond_the_limit_are_not_read(images, monkeypatch):
    read = []
    monkeypatch.setattr(archive_module, "_saved", lambda archive, entry: read.append(entry))
    archive = make_tar(("manifest.json", json.dumps([{"Config": "c"}] * 5000).encode()))
    with pytest.raises(InvalidArgument, match="more than 1000 images"):
        images.import_archive(io.BytesIO(archive), "")
    assert len(read) == 1001


def test_a_too_long_chain_of_indexes_is_refused(images):
    """Each index in the archive names the next index. The chain is longer than in any real image."""
    from .archives import blob

    blobs, inner = {}, b'{"manifests": []}'
    for _ in range(5):
        blobs[f"blobs/sha256/{blob(inner)}"] = inner
        inner = json.dumps({"manifests": [{"digest": f"sha256:{blob(inner)}"}]}).encode()
    archive = make_tar(("oci-layout", b"{}"), ("index.json", inner), *blobs.items())
    with pytest.raises(InvalidArgument, match="nested too deeply"):
        images.import_archive(io.BytesIO(archive), "")


NAMES = ["BAD:1", "a b:1", f"{ESCAPE}x:1", "-x:1", "--help:1", "", "a\0:1", "a", f"a:{'b' * 200}", "x" * 300 + ":1",
         f"t:1@sha256:{'0' * 64}", "0" * 64, "t:ü", f"sha256:{'0' * 64}"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_hostile_names_are_refused(images, left, name):
    with pytest.raises(InvalidArgument) as refusal:
        images.import_archive(io.BytesIO(saved(TWO, tags=[name])), "")
    assert str(refusal.value).isprintable()
    assert left() == []


@pytest.mark.parametrize("tags", ["t:1", {"t:1": 1}, [5], [None], [["t:1"]]], ids=str)
def test_names_of_other_types_are_refused(images, left, tags):
    with pytest.raises(InvalidArgument, match=r"manifestItem\.RepoTags|invalid reference format"):
        images.import_archive(io.BytesIO(saved(TWO, tags=tags)), "")
    assert left() == []


def test_only_harmless_attributes_are_kept(images, rootfs):
    """Docker keeps all extended attributes of files. hawse drops the overlayfs attributes, which would change the
    container's root.
    """
    capability = b"\x01\x00\x00\x02\x00\x04" + bytes(14)
    attributes = dict.fromkeys(("trusted.a", "trusted.overlay.opaque", "trusted.overlay.redirect", "user.a"), "y")
    attributes |= dict.fromkeys(("user.overlay.opaque", "security.ima", "security.selinux"), "y")
    attributes["security.capability"] = capability.decode()
    records = {f"SCHILY.xattr.{name}": value for name, value in attributes.items()}
    images.import_archive(io.BytesIO(pax_member("a", records, mode=0o6755, uid=5)), "file")
    images.import_archive(io.BytesIO(pax_member("d", records, type=tarfile.DIRTYPE)), "directory")
    for path in (rootfs("file") / "a", rootfs("directory") / "d"):
        assert sorted(os.listxattr(path)) == ["security.capability", "user.a"]
        assert os.getxattr(path, "security.capability") == capability
    assert stat.S_IMODE((rootfs("file") / "a").stat().st_mode) == 0o6755


def test_names_of_any_bytes_are_kept(images, rootfs):
    images.import_archive(io.BytesIO(make_tar(("caf\udce9", b"1"), ("new\nline\x1b[1m", b"2"))), "x")
    assert sorted(os.listdir(os.fsencode(rootfs("x")))) == [b"caf\xe9", b"new\nline\x1b[1m"]


def test_impossible_file_times_become_the_epoch(images, rootfs):
    for name, moment in (("past", "-5.5"), ("future", str(2**62))):
        images.import_archive(io.BytesIO(pax_member("a", {"mtime": moment})), name)
        assert (rootfs(name) / "a").stat().st_mtime_ns == 0


# ------------------------------------------------------------------------------------------------ whiteouts


def test_whiteouts_hide_lower_layers_only(images, rootfs):
    lower = make_tar(("d", None), ("d/s", None), ("d/s/old", b""), ("d/old", b""), ("gone", b""), ("tree/x/y", b""))
    upper = make_tar(
        *(("d/s/new", b""), ("d/new", b""), ("d/.wh..wh..opq", b"")),  # these precede their directory's opaque marker
        *((".wh.gone", b""), ("tree/.wh.x", b""), ("own", b""), (".wh.own", b"")),
        *((".wh..wh.plnk", None), (".wh..wh.plnk/1", b""), (".wh.", b""), (".wh..", b""), (".wh...", b"")),
        *((".wh.nothing", b""), ("gone2/.wh.x", b""), ("own/.wh.x", b"")),
    )
    images.import_archive(io.BytesIO(saved(lower, upper)), "")
    root = rootfs("app:1")
    paths = sorted(p.relative_to(root).as_posix() for p in root.rglob("*"))
    assert paths == ["d", "d/new", "d/s", "d/s/new", "own", "tree"]


def test_a_layer_replaces_files_of_any_kind(images, rootfs):
    lower = make_tar(("a", None), ("a/x", b""), ("b", b"file"), ("c", "-> /etc"), ("e", special(b"6")))
    upper = make_tar(("a", b"file"), ("b", None), ("c", None), ("c/x", b""), ("e", "-> a"))
    images.import_archive(io.BytesIO(saved(lower, upper)), "")
    root = rootfs("app:1")
    kinds = {name: stat.S_IFMT((root / name).lstat().st_mode) for name in "abce"}
    assert kinds == {"a": stat.S_IFREG, "b": stat.S_IFDIR, "c": stat.S_IFDIR, "e": stat.S_IFLNK}
    assert not Path("/etc/x").exists()


@pytest.mark.parametrize("whiteout", ["etc/.wh.passwd", "etc/.wh..wh..opq"])
def test_whiteouts_behind_a_link_stay_inside(images, tmp_path, whiteout):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "passwd").write_text("here")
    layers = make_tar(("etc", f"-> {victim}")), make_tar((whiteout, b""))
    images.import_archive(io.BytesIO(saved(*layers)), "")
    assert (victim / "passwd").read_text() == "here"


# ------------------------------------------------------------------------------------------------ sizes


def nested(levels: int, *more: tuple[str, object]) -> bytes:
    """Return an archive with a tree of ``levels`` nested directories, where ``levels`` is a multiple of 1000.

    The full path of the deepest directory is longer than the kernel accepts. Therefore every 1000 levels, a symbolic
    link to the deepest directory is added, and the names of the next entries begin with this link.
    """
    entries: list[tuple[str, object]] = []
    start = "deep"
    for step in range(levels // 1000):
        entries.append((f"{start}/{'d/' * 1000}", None))
        entries.append((f"l{step}", f"-> /{start}/{'d/' * 1000}"))
        start = f"l{step}"
    return make_tar(*entries, *more)


@pytest.fixture
def quick_root():
    """A directory on a tmpfs. If a test fails, the program `rm` deletes its files, because Python cannot delete such
    deep directories.
    """
    with tempfile.TemporaryDirectory(dir="/dev/shm", ignore_cleanup_errors=True) as directory:
        try:
            yield Path(directory)
        finally:
            subprocess.run(["rm", "-rf", *Path(directory).iterdir()], check=True)


def test_directories_nested_10000_deep_are_removed(quick_root):
    """hawse removes the nested directories despite Python's recursion limit, the kernel's longest path and the limit of
    file descriptors.
    """
    images = ImageStore(SqliteStore(quick_root / "hawse.db"), quick_root)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, files[1]))
    try:
        image_id = images.import_archive(io.BytesIO(nested(10_000)), "deep")
        assert [image["Id"] for image in images.list({})] == [image_id]
        images.remove("deep")
        assert os.listdir(quick_root / "images") == []
        with pytest.raises(InvalidArgument):
            images.import_archive(io.BytesIO(nested(10_000, ("h", "= no"))), "deep")
        assert os.listdir(quick_root / "images") == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)


def bomb(size: int) -> bytes:
    return make_tar(("zeros", bytes(size)))


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


TOO_LARGE = {
    "gzip": (gzip.compress(bomb(10_000_000)), "larger than 1000000 bytes"),
    "bzip2": (bz2.compress(bomb(10_000_000)), "larger than 1000000 bytes"),
    "xz": (lzma.compress(bomb(10_000_000)), "larger than 1000000 bytes"),
    "zstd": (zstd(bomb(10_000_000)), "larger than 1000000 bytes"),
    "layer of gzip": (saved(gzip.compress(bomb(10_000_000))), "larger than 1000000 bytes"),
    "layer of zstd": (
        old_saved({"l": zstd(bomb(10_000_000))}, image_config([bomb(10_000_000)]), ["l"]), "larger than 1000000 bytes"
    ),
    "data behind the layer's end": (
        old_saved({"l": gzip.compress(TWO + bytes(10_000_000))}, image_config([b""]), ["l"]), "larger than 1000000"
    ),
    "one layer many times": (
        old_saved({"l": bomb(300_000)}, image_config([bomb(300_000)] * 4), ["l"] * 4), "larger than 1000000 bytes"
    ),
    "one layer many times that decompresses to nothing": (
        old_saved({"l": gzip.compress(b"") + bytes(300_000)}, image_config([b""] * 4), ["l"] * 4),
        "larger than 1000000 bytes",
    ),
    "holes": (
        pax_member("a", {"GNU.sparse.map": "0,0", "GNU.sparse.size": "1000000000000"}), "larger than 1000000 bytes"
    ),
    "many members": (make_tar(*((f"{n}", b"") for n in range(51))), "more than 50 members"),
    "many members of a layer": (saved(make_tar(*((f"{n}", b"") for n in range(51)))), "more than 50 "),
    "many directories without members": (make_tar(("d/" * 51 + "f", b"")), "more than 50 files"),
    "few files in many directories with whiteouts": (
        make_tar(*((f"{'d/' * 9}{n}", b"") for n in range(10)), *((f"{'d/' * n}.wh..wh..opq", b"") for n in range(10))),
        "more than 50 files",
    ),
    "many layers": (old_saved({"l": b""}, image_config([b""] * 51), ["l"] * 51), "more than 50 files"),
    "many headers": (b"".join(
        pax_member("a", {"comment": "x"})[:1024] for _ in range(60)) + TWO, "more than 50 members"),
}  # fmt: skip


@pytest.mark.parametrize(("archive", "text"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_exceeds_the_limits_is_refused(store, tmp_path, archive, text):
    small = ImageStore(store, tmp_path / "root", Limits(1_000_000, 50))
    with pytest.raises(InvalidArgument, match=text):
        small.import_archive(io.BytesIO(archive), "x")
    assert list((tmp_path / "root" / "images").iterdir()) == []


def test_limits_hold_for_all_images_of_an_archive(store, tmp_path):
    layer = bomb(300_000)
    configs = [(f"{n}", image_config([layer], {"Cmd": [str(n)]})) for n in range(4)]
    manifest = [{"Config": name, "Layers": ["l"]} for name, _ in configs]
    archive = make_tar(("l", layer), *configs, ("manifest.json", json.dumps(manifest).encode()))
    with pytest.raises(InvalidArgument, match="larger than"):
        ImageStore(store, tmp_path / "root", Limits(1_000_000)).import_archive(io.BytesIO(archive), "")
    assert len(ImageStore(store, tmp_path / "root", Limits(2_000_000)).import_archive(io.BytesIO(archive), "")) == 71


def test_an_import_uses_at_most_nine_tenths_of_the_free_space(tmp_path):
    """An import may use at most nine tenths of the free disk space. A larger image is refused, and no files are left.

    The import runs in a separate mount namespace, and its image store is on a file system of 16 MiB.
    """
    script = f"""
        import io, os, sys
        sys.path[:0] = [{str(CHECKOUT)!r}, {str(Path(__file__).parent)!r}]
        from pathlib import Path
        from archives import make_tar
        from engine.errors import InvalidArgument
        from engine.images import ImageStore
        from engine.store.sqlite import SqliteStore
        root = Path({str(tmp_path)!r})
        store = ImageStore(SqliteStore(root / "hawse.db"), root)
        free = os.statvfs(root).f_bavail
        for size in (20 << 20, 10 << 20):  # the second archive fits, but not together with its unpacked files
            try:
                store.import_archive(io.BytesIO(make_tar(("a", bytes(size)))), "x")
            except InvalidArgument as error:
                print(error)
        print(os.listdir(root / "images"), free - os.statvfs(root).f_bavail < 64)
    """
    program = [sys.executable, "-c", textwrap.dedent(script)]
    mounted = f'mount -t tmpfs -o size=16m,mode=700 tmpfs {tmp_path} && exec "$@"'
    result = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted, "sh", *program], capture_output=True, text=True, check=True
    )
    first, second, last = result.stdout.splitlines()
    assert "the archive is larger than" in first
    assert "the image is larger than" in second
    assert f"nine tenths of the free space of {tmp_path}" in first
    assert last == "[] True"
