"""hawse imports images that a real Docker has saved, with the same ids and files as in Docker.

hawse refuses the archives that `docker load` refuses.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from .targets import Target

pytestmark = pytest.mark.docker

DOCKERFILE = r"""
FROM bb
COPY data /data
RUN rm /data/gone && mkdir /data/kept && echo new > /data/kept/new && chmod 4755 /bin/busybox && mknod /p p
RUN rm -r /data/tree && mkdir /data/tree && echo upper > /data/tree/upper
ENV A=1
EXPOSE 80-82
CMD ["cat", "/data/file"]
"""


@pytest.fixture(scope="module")
def saved(targets: tuple[Target, Target], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An archive that Docker saved, and the image's id. The image has several layers, whiteouts and an opaque
    directory.
    """
    _, docker = targets
    context = tmp_path_factory.mktemp("built")
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "data" / "tree").mkdir(parents=True)
    for name in ("file", "gone", "tree/lower"):
        (context / "data" / name).write_text(f"{name}\n")
    built = docker.sh("DOCKER_BUILDKIT=0 docker build -q -t built:1 . && docker save -o built.tar built:1", context)
    assert built.returncode == 0, built.stderr
    return context / "built.tar", built.stdout.strip()


def test_saved_image_has_its_id_and_its_files(targets, saved, tmp_path):
    hawse, _ = targets
    archive, image_id = saved
    assert hawse.sh(f"docker import {archive}", tmp_path).stdout.strip() == image_id
    script = "find / -xdev ! -path '/[pd]*' ! -path '/sys*' -o -path '/data*' | xargs stat -c '%n %F %a %u:%g'"
    listings = [
        {
            line
            for line in target.sh(
                f'docker run --rm --network none built:1 sh -c "{script}"', tmp_path
            ).stdout.splitlines()
            if not line.startswith(("/etc/", "/.dockerenv", "/ directory", "/etc directory"))
        }
        for target in targets
    ]
    assert listings[0] == listings[1]
    assert "/data/tree/upper regular file 644 0:0" in listings[0]
    assert not any("gone" in line or "lower" in line for line in listings[0])
    assert hawse.sh("docker run --rm built:1", tmp_path).stdout == "file\n"
    shown = [json.loads(target.sh("docker image inspect built:1", tmp_path).stdout)[0] for target in targets]
    for key in ("Id", "Created", "Architecture", "Os", "RootFS", "RepoTags"):
        assert shown[0][key] == shown[1][key]
    hawse.sh("docker rmi built:1", tmp_path)


def test_docker_loads_what_hawse_has_saved(targets, saved, tmp_path):
    hawse, docker = targets
    hawse.sh(f"docker import {saved[0]}", tmp_path)
    for number, command in enumerate(("docker save built:1 > 0.tar", "docker save -o 1.tar built:1")):
        written = hawse.sh(command, tmp_path)
        assert written.returncode == 0, written.stderr
        docker.sh("docker rmi -f built:1", tmp_path)
        assert docker.sh(f"docker load -i {number}.tar", tmp_path).stdout == "Loaded image: built:1\n"
    hawse.sh("docker rmi built:1", tmp_path)
    assert hawse.sh("docker load -i 0.tar", tmp_path).stdout == "Loaded image: built:1\n"
    shown = [json.loads(target.sh("docker image inspect built:1", tmp_path).stdout)[0] for target in targets]
    for key in ("Id", "Created", "RootFS", "RepoTags"):
        assert shown[0][key] == shown[1][key]
    script = "stat -c '%n %F %a %u:%g' /bin/busybox /data/kept/new /p"
    files = [target.sh(f"docker run --rm --network none built:1 {script}", tmp_path).stdout for target in targets]
    assert files[0] == files[1] and "4755" in files[0]
    for target in targets:
        missing = target.sh("docker save built:1 nosuch > no.tar", tmp_path)
        assert (missing.returncode, missing.stderr) == (1, "Error response from daemon: No such image: nosuch\n")
        target.sh("docker rmi built:1", tmp_path)


@pytest.mark.parametrize("victim", ["layer", "digest", "count"])
def test_an_archive_that_docker_refuses_is_refused_with_dockers_text(targets, saved, tmp_path, victim):
    hawse, docker = targets
    forged = forge(saved[0], tmp_path, victim)
    docker.sh("docker rmi -f built:1", tmp_path)  # remove the image, because `docker load` skips layers that Docker has
    refused = docker.sh(f"docker load -i {forged}", tmp_path)
    assert refused.returncode == 1
    imported = hawse.sh(f"docker import {forged}", tmp_path)
    assert (imported.returncode, imported.stdout) == (1, "")
    assert imported.stderr.removeprefix("Error response from daemon: ") == refused.stderr
    assert "built" not in hawse.sh("docker images", tmp_path).stdout


def forge(archive: Path, directory: Path, victim: str) -> Path:
    """Return a changed copy of an archive that Docker saved.

    ``victim`` names the change: "layer" adds a file to the last layer, "digest" changes the first layer's digest, and
    "count" adds one digest too many. The copy has the form that Docker used before version 25, in which file names are
    not digests. Therefore only a check of the content finds the change.
    """
    parts = directory / "parts"
    with tarfile.open(archive) as whole:
        whole.extractall(parts, filter="data")
    (manifest,) = json.loads((parts / "manifest.json").read_text())
    config = json.loads((parts / manifest["Config"]).read_text())
    if victim == "layer":
        (parts / "evil").write_text("evil\n")
        subprocess.run(["tar", "-C", str(parts), "-rf", str(parts / manifest["Layers"][-1]), "evil"], check=True)
    elif victim == "digest":
        config["rootfs"]["diff_ids"][0] = config["rootfs"]["diff_ids"][1]
    else:
        config["rootfs"]["diff_ids"].append(config["rootfs"]["diff_ids"][0])
    made = directory / "made"
    made.mkdir()
    layers = []
    for number, layer in enumerate(manifest["Layers"]):
        shutil.copy(parts / layer, made / f"{number}.tar")
        layers.append(f"{number}.tar")
    (made / "config.json").write_text(json.dumps(config))
    document = [{"Config": "config.json", "RepoTags": ["built:9"], "Layers": layers}]
    (made / "manifest.json").write_text(json.dumps(document))
    forged = directory / "forged.tar"
    subprocess.run(["tar", "-C", str(made), "-cf", str(forged), "."], check=True)
    return forged
