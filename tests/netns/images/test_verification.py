"""An archive whose content does not match its digests is refused as a whole, and cannot replace a genuine image."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from msgspec.structs import replace

from engine.errors import Conflict, InvalidArgument, NotFound
from engine.model import ContainerConfig, ContainerRecord, HostConfig

from .archives import CREATED, blob, image_config, layout, make_tar, old_saved, saved

pytestmark = pytest.mark.netns

GOOD, EVIL = make_tar(("app", b"good")), make_tar(("app", b"evil"))
ZIPPED = gzip.compress(GOOD, mtime=0)


def forged_diff_id(number: int = 0) -> str:
    """Return the error text that `docker load` (26.1.5) prints for a wrong layer digest."""
    return f'invalid diffID for layer {number}: expected "sha256:{blob(GOOD)}", got "sha256:{blob(EVIL)}"'


def with_twice(name: str) -> bytes:
    """Return an archive whose second member ``name`` has the same path as the good layer, but contains the evil layer.

    The program tar uses the last of two members with the same path.
    """
    return old_saved({"l.tar": GOOD, name: EVIL}, image_config([GOOD]), ["l.tar"])


FORGED = {
    "layer": (saved(EVIL, claimed=[GOOD]), forged_diff_id()),
    "second layer": (saved(GOOD, EVIL, claimed=[GOOD, GOOD]), forged_diff_id(1)),
    "compressed layer": (saved(gzip.compress(EVIL), claimed=[GOOD]), forged_diff_id()),
    "layer in an old archive": (old_saved({"l.tar": EVIL}, image_config([GOOD]), ["l.tar"]), forged_diff_id()),
    "member given twice": (with_twice("l.tar"), forged_diff_id()),
    "member given twice, with a dot": (with_twice("./l.tar"), forged_diff_id()),
    "link to another layer": (
        old_saved({"evil.tar": EVIL, "l.tar": "-> evil.tar"}, image_config([GOOD]), ["l.tar"]), forged_diff_id()
    ),
    "more behind the layer": (saved(GOOD + b"more", claimed=[GOOD]), "invalid diffID for layer 0"),
    "layer of a layout, honest blobs": (layout(EVIL, claimed=GOOD), forged_diff_id()),
    "layer of a layout": (layout(GOOD, stored={"layer": EVIL}), f"has digest sha256:{blob(EVIL)}"),
    "compressed otherwise": (layout(ZIPPED, stored={"layer": gzip.compress(GOOD, mtime=1)}), "has digest sha256:"),
    "configuration of a layout": (layout(GOOD, stored={"config": b"{}"}), "has "),
    "manifest of a layout": (layout(GOOD, stored={"manifest": b"{}"}), "has "),
    "size of a layer": (layout(GOOD, sizes={"layer": 5}), f"has {len(GOOD)} bytes instead of 5"),
    "size of a configuration": (layout(GOOD, sizes={"config": 5}), "bytes instead of 5"),
    "size of a manifest": (layout(GOOD, sizes={"manifest": 5}), "bytes instead of 5"),
    "negative size": (layout(GOOD, sizes={"layer": -1}), "has a size of -1"),
    "configuration under another's name": (
        old_saved({"l.tar": GOOD}, image_config([GOOD]), ["l.tar"], name=f"{blob(b'other')}.json"), "has digest sha256:"
    ),
    "more layers than digests": (saved(GOOD, GOOD, claimed=[GOOD]), "layers length mismatch: expected 2, got 1"),
    "more digests than layers": (saved(GOOD, claimed=[GOOD, GOOD]), "layers length mismatch: expected 1, got 2"),
    "no digests": (saved(GOOD, claimed=[]), "layers length mismatch: expected 1, got 0"),
    "no rootfs": (saved(GOOD, config=b'{"os": "linux"}'), "invalid image JSON, no RootFS key"),
    "digest of another kind": (
        saved(GOOD, config=b'{"rootfs": {"diff_ids": ["md5:0000000000000000"]}}'), "not a SHA-256 digest"
    ),
    "layer outside of the archive": (old_saved({}, image_config([GOOD]), ["../../../etc/passwd"]), "the archive lacks"),
    "absolute link": (
        old_saved({"l.tar": "-> /etc/passwd"}, image_config([GOOD]), ["l.tar"]), "the archive lacks l.tar"
    ),
    "climbing link": (
        old_saved({"l.tar": "-> ../../../../../etc/passwd"}, image_config([GOOD]), ["l.tar"]), "the archive lacks l.tar"
    ),
    "hard link": (old_saved({"l.tar": "= /etc/passwd"}, image_config([GOOD]), ["l.tar"]), "the archive lacks l.tar"),
    "links in a circle": (
        old_saved({"l.tar": "-> m.tar", "m.tar": "-> l.tar"}, image_config([GOOD]), ["l.tar"]), "the archive lacks"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("archive", "text"), FORGED.values(), ids=FORGED)
def test_forged_archives_leave_nothing(images, left, archive, text):
    with pytest.raises(InvalidArgument) as refusal:
        images.import_archive(io.BytesIO(archive), "")
    assert text in str(refusal.value)
    assert left() == []
    with pytest.raises(InvalidArgument):
        images.import_archive(io.BytesIO(archive), "with:name")
    assert left() == []


def test_a_forged_archive_does_not_replace_the_genuine_image(images, rootfs, left):
    """The forged archive contains the genuine image configuration, so it has the same image id as the genuine archive.

    The test imports the forged archive before and after the genuine archive. hawse must refuse it both times.
    """
    config = image_config([GOOD], {"Cmd": ["app"]})
    with pytest.raises(InvalidArgument):
        images.import_archive(io.BytesIO(saved(EVIL, config=config)), "")
    assert left() == []
    image_id = images.import_archive(io.BytesIO(saved(GOOD, config=config)), "")
    assert image_id == f"sha256:{blob(config)}"
    with pytest.raises(InvalidArgument):
        images.import_archive(io.BytesIO(saved(EVIL, config=config, tags=("app:1", "app:2"))), "")
    assert images.inspect("app:1")["RepoTags"] == ["app:1"]
    assert (rootfs("app:1") / "app").read_bytes() == b"good"


def test_files_that_were_never_verified_are_replaced(images, store, rootfs):
    """An older hawse imported the image without any check of its files. A new import must replace the files."""
    image_id = images.import_archive(io.BytesIO(saved(GOOD)), "")
    with store.write() as transaction:
        transaction.put_image(replace(images.resolve("app:1"), verified=False))
    (rootfs("app:1") / "app").write_bytes(b"evil")
    container = ContainerRecord(
        id="c" * 64, name="c1", created=CREATED, config=ContainerConfig("app:1"), host=HostConfig(), image_id=image_id
    )
    with store.write() as transaction:
        transaction.put_container(container)
    with pytest.raises(Conflict, match=f"whose files were never verified - container {'c' * 12} is using it"):
        images.import_archive(io.BytesIO(saved(GOOD)), "app:2")
    with store.write() as transaction:
        transaction.delete_container(container.id)
    assert images.import_archive(io.BytesIO(saved(GOOD)), "app:2") == image_id
    assert (rootfs("app:1") / "app").read_bytes() == b"good"
    (rootfs("app:1") / "app").write_bytes(b"kept")  # hawse has verified this image, so the next import keeps its files
    images.import_archive(io.BytesIO(saved(GOOD)), "app:3")
    assert (rootfs("app:3") / "app").read_bytes() == b"kept"


def test_a_refused_archive_takes_no_name_away(images):
    genuine = images.import_archive(io.BytesIO(saved(GOOD)), "")
    with pytest.raises(InvalidArgument):
        images.import_archive(io.BytesIO(saved(EVIL, claimed=[GOOD], tags=["app:1"])), "")
    assert images.resolve("app:1").id == genuine


def test_one_forged_image_refuses_the_whole_archive(images, left):
    configs = [image_config([GOOD]), image_config([GOOD], {"Cmd": ["x"]})]
    manifest = [
        {"Config": f"{n}.cfg", "RepoTags": [f"app:{n}"], "Layers": [layer]}
        for n, layer in enumerate(("good.tar", "evil.tar"))
    ]
    archive = make_tar(
        ("good.tar", GOOD),
        ("evil.tar", EVIL),
        *((f"{n}.cfg", config) for n, config in enumerate(configs)),
        ("manifest.json", json.dumps(manifest).encode()),
    )
    with pytest.raises(InvalidArgument, match="invalid diffID"):
        images.import_archive(io.BytesIO(archive), "")
    assert left() == []


def test_a_name_pinned_by_a_digest_is_not_another_image_of_that_name(images):
    images.import_archive(io.BytesIO(saved(GOOD)), "")
    pinned = f"app@sha256:{'0' * 64}"
    assert images.resolve(pinned) is None
    with pytest.raises(NotFound) as missing:
        images.inspect(pinned)
    assert str(missing.value) == f"No such image: {pinned}"


@pytest.mark.parametrize(
    "archive",
    [
        saved(GOOD, ZIPPED),
        saved(gzip.compress(GOOD[:512]) + gzip.compress(GOOD[512:]) + bytes(512), claimed=[GOOD]),
        saved(GOOD + b"trailing"),
        saved(GOOD[:1024]),
        saved(),
        layout(ZIPPED, claimed=GOOD),
    ],
    ids=["a layer twice", "members of gzip and zeros", "data behind the end", "no end", "no layers", "layout"],
)
def test_odd_archives_with_right_digests_are_accepted(images, archive):
    image_id = images.import_archive(io.BytesIO(archive), "")
    assert images.inspect(image_id)["Id"] == image_id
