"""hawse imports archives of Docker, skopeo and tar with the image id that Docker gives them.

The README in the directory ``genuine/`` says how the archives were made.
"""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from .archives import blob, image_config, layout, make_tar, old_saved

pytestmark = pytest.mark.netns

GENUINE = Path(__file__).parent / "genuine"
ID = "sha256:a33723f73360d427e687bde3f6cd15c0b22443e090a51f74abdb550e312f1e40"


@pytest.mark.parametrize(
    ("archive", "names", "image_id"),
    [
        ("docker-save", ["example.com/team/small:latest", "small:1"], ID),
        ("skopeo-docker", ["small:4"], ID),
        ("skopeo-oci", ["small:2"], None),  # skopeo rewrites the image's configuration, so the image id is unknown
        ("skopeo-zstd", ["3:latest"], None),
        ("skopeo-zstd-chunked", ["5:latest"], None),
    ],
)
def test_archives_of_other_programs(images, rootfs, archive, names, image_id):
    with (GENUINE / f"{archive}.tar.gz").open("rb") as file:
        imported = images.import_archive(file, "")
    assert image_id in (None, imported)
    document = images.inspect(names[0])
    assert sorted(document["RepoTags"]) == names
    config = document["Config"]
    assert (config["Cmd"], config["Entrypoint"], config["Env"]) == (
        ["--serve"], ["/bin/app"], ["PATH=/bin", "LANG=C.UTF-8"],
    )  # fmt: skip
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("1000:1000", "/srv", "SIGQUIT")
    assert config["ExposedPorts"] == {"53/udp": {}, "80/tcp": {}}
    assert config["Labels"] == {"org.example.title": "a small image"}
    assert document["Created"] == "2026-11-27T18:51:34.638229567Z"
    assert len(document["RootFS"]["Layers"]) == 2
    root = rootfs(names[0])
    assert sorted(p.relative_to(root).as_posix() for p in root.rglob("*")) == [
        "etc", "etc/one", "srv", "srv/link", "srv/two",
    ]  # fmt: skip
    assert (root / "srv" / "two").read_text() == "two\n"


def test_equal_layers_of_an_old_archive_are_links(images, rootfs):
    layer = make_tar(("a", b"1"))
    archive = old_saved(
        {"one/layer.tar": layer, "two/layer.tar": "-> ../one/layer.tar", "three.tar": "= one/layer.tar"},
        image_config([layer] * 3),
        ["one/layer.tar", "two/layer.tar", "three.tar"],
    )
    images.import_archive(io.BytesIO(archive), "")
    assert (rootfs("old:1") / "a").read_bytes() == b"1"
    assert images.inspect("old:1")["RootFS"]["Layers"] == [f"sha256:{blob(layer)}"] * 3


@pytest.mark.parametrize("flags", [(), ("--format=posix",), ("--format=v7",), ("--format=posix", "-S")], ids=str)
def test_root_file_systems_packed_by_tar(images, rootfs, tmp_path, flags):
    source = tmp_path / "source"
    (source / "d" / ("long" * 20)).mkdir(parents=True)
    (source / "d" / "f").write_bytes(b"data" * 1000)
    (source / "link").symlink_to("d/f")
    os.link(source / "d" / "f", source / "hard")
    with (source / "holes").open("wb") as file:
        file.truncate(1 << 22)
        file.seek(1 << 20)
        file.write(b"island")
    os.chmod(source / "d", 0o1777)
    os.setxattr(source / "d" / "f", "user.note", b"kept")
    xattrs = ["--xattrs"] if "posix" in str(flags) else []
    packed = subprocess.run(
        ["tar", *flags, *xattrs, "-C", str(source), "-c", "."], check=True, capture_output=True
    ).stdout
    images.import_archive(io.BytesIO(packed), "root")
    root = rootfs("root")
    assert subprocess.run(["diff", "-r", "--no-dereference", source, root], check=False).returncode == 0
    assert (root / "hard").stat().st_ino == (root / "d" / "f").stat().st_ino
    assert (root / "d").stat().st_mode == (source / "d").stat().st_mode
    assert (root / "d" / "f").stat().st_mtime_ns // 10**9 == (source / "d" / "f").stat().st_mtime_ns // 10**9
    if xattrs:
        assert os.getxattr(root / "d" / "f", "user.note") == b"kept"
    if "-S" in flags:
        assert (root / "holes").stat().st_blocks < 100
    assert images.inspect("root")["RootFS"] == {"Type": "layers", "Layers": [f"sha256:{blob(packed)}"]}


def test_an_index_of_several_platforms_gives_the_image_of_this_one(images, rootfs):
    """An index of several platforms gives the image of this machine's platform.

    The archive has BuildKit's form: the outer index names a second index, which also contains an attestation.
    """
    import json

    from engine.render.version import architecture

    blobs: dict[str, bytes] = {}

    def add(document: object) -> dict[str, object]:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        blobs[f"blobs/sha256/{blob(data)}"] = data
        return {"digest": f"sha256:{blob(data)}", "size": len(data)}

    platforms = []
    for arch, content in ((architecture(), b"ours"), ("s390y", b"theirs")):
        layer = make_tar(("which", content))
        manifest = {"config": add(image_config([layer], architecture=arch)), "layers": [add(layer)]}
        platforms.append({**add(manifest), "platform": {"os": "linux", "architecture": arch}})
    attestation = {"config": add({}), "layers": [add(b"{}")]}
    platforms.append({**add(attestation), "platform": {"os": "unknown", "architecture": "unknown"}})
    notes = {"io.containerd.image.name": "docker.io/me/multi:1"}
    index = {"manifests": [{**add({"manifests": platforms}), "annotations": notes}]}
    archive = make_tar(("oci-layout", b"{}"), ("index.json", json.dumps(index).encode()), *blobs.items())
    images.import_archive(io.BytesIO(archive), "")
    assert (rootfs("me/multi:1") / "which").read_bytes() == b"ours"
    assert len(images.list({})) == 1


def test_a_name_without_a_tag_in_an_oci_layout(images):
    images.import_archive(io.BytesIO(layout(make_tar(("x", b"data")), name="app")), "")
    assert images.inspect("app")["RepoTags"] == ["app:latest"]
