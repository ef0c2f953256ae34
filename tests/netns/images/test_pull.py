"""Pull images from a real registry (docker-registry) with skopeo. Forged and too large images are refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.conftest import Host, Peer, require_root, until
from tests.registry import REGISTRY, Registry

from .archives import CREATED, diff_id, make_tar, saved

pytestmark = pytest.mark.netns

LAYER, SECOND = make_tar(("bin", None), ("bin/hello", (b"#!/bin/true\n", 0o755))), make_tar(("x", b"data"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    require_root()
    state = tmp_path_factory.mktemp("pull")
    peer = Peer(f"hwp{os.getpid()}p", ipv6=False)
    host = Host(f"hwp{os.getpid()}h", peer, state)
    try:
        yield Registry(host, state)
    finally:
        host.delete()
        peer.delete()


def left(host: Host) -> list[str]:
    """Return the names of the hidden entries beside the images, in which imports keep unfinished files."""
    return [entry.name for entry in (host.root / "images").iterdir() if entry.name.startswith(".")]


def test_a_pull_in_a_pipe_prints_docker_s_lines(registry):
    host, name = registry.host, f"{REGISTRY}/team/app"
    digest = registry.push(saved(LAYER, SECOND, config={"Cmd": ["/bin/hello"]}, tags=("app:1",)), "team/app:latest")
    manifest = json.loads(host.run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}").stdout)
    first, second = (layer["digest"].removeprefix("sha256:")[:12] for layer in manifest["layers"])
    shown = host.hawse("pull", name).stdout.splitlines()
    assert shown[:4] == ["Using default tag: latest", "latest: Pulling from team/app",
                         f"{first}: Pulling fs layer", f"{second}: Pulling fs layer"]  # fmt: skip
    downloaded = [
        f"{layer}: {what}" for layer in (first, second) for what in ("Verifying Checksum", "Download complete")
    ]
    assert sorted(shown[4:8]) == sorted(downloaded)
    assert shown[8:] == [f"{first}: Pull complete", f"{second}: Pull complete", f"Digest: {digest}",
                         f"Status: Downloaded newer image for {name}:latest", f"{name}:latest"]  # fmt: skip
    assert host.hawse("pull", f"{name}:latest").stdout.splitlines() == [
        "latest: Pulling from team/app", f"Digest: {digest}", f"Status: Image is up to date for {name}:latest",
        f"{name}:latest",
    ]  # fmt: skip
    (document,) = json.loads(host.hawse("image", "inspect", name).stdout)
    assert document["Id"] == manifest["config"]["digest"], "the image has the id that Docker gives it"
    assert (document["RepoTags"], document["RepoDigests"]) == ([f"{name}:latest"], [f"{name}@{digest}"])
    assert host.hawse("rmi", name).stdout.splitlines() == [
        f"Untagged: {name}:latest", f"Untagged: {name}@{digest}", f"Deleted: {document['Id']}"
    ]  # fmt: skip
    assert host.hawse("pull", "-q", f"{name}@{digest}").stdout == f"{name}@{digest}\n"
    assert host.hawse("images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}").stdout == (
        f"{name} <none> {digest}\n"
    )
    host.hawse("tag", f"{name}@{digest}", "app:2")
    assert host.hawse("images", "-q", "app:2").stdout
    assert left(host) == []


def test_run_pulls_a_missing_image(registry):
    host, name = registry.host, f"{REGISTRY}/runs"
    rootfs = make_tar(("bin", None), ("bin/busybox", (Path(shutil.which("busybox")).read_bytes(), 0o755)),
                      ("bin/sh", "-> busybox"))  # fmt: skip
    registry.push(saved(rootfs, config={"Cmd": ["sh", "-c", "echo hello"], "Env": ["PATH=/bin"]}), "runs:latest")
    never = host.hawse("run", "--pull", "never", "--rm", name, check=False)
    assert (never.returncode, "Unable to find" in never.stderr) == (125, False)
    done = host.hawse("run", "--rm", name)
    assert done.stdout == "hello\n"
    first, second, *_, last = done.stderr.splitlines()
    assert first == f"Unable to find image '{name}:latest' locally"
    assert (second, last) == ("latest: Pulling from runs", f"Status: Downloaded newer image for {name}:latest")
    again = host.hawse("run", "--pull", "always", "--rm", name)
    assert (again.stdout, again.stderr.splitlines()[-1]) == (
        "hello\n", f"Status: Image is up to date for {name}:latest"
    )  # fmt: skip
    assert host.hawse("run", "-q", "--pull", "always", "--rm", name).stderr == ""


def test_a_terminal_shows_bars_and_bad_names_are_refused(registry):
    host, name = registry.host, f"{REGISTRY}/bars"
    registry.push(saved(LAYER), "bars:latest")
    command = host.command("pull", name)
    seen = pexpect.run(" ".join(command), env=host.env(TERM="xterm", HAWSE_WARM="off"), timeout=20)
    assert b"Pull complete" in seen and "━".encode() in seen and b"Downloaded newer image" in seen
    missing = host.hawse("pull", f"{REGISTRY}/no/such", check=False)
    assert (missing.returncode, missing.stderr) == (1, (
        f"Error response from daemon: manifest for {REGISTRY}/no/such:latest not found: "
        "manifest unknown: manifest unknown\n"
    ))  # fmt: skip
    refused = host.hawse("pull", "127.0.0.1:5999/x", check=False)
    assert refused.stderr.endswith("dial tcp 127.0.0.1:5999: connect: connection refused\n")
    for bad in ("-x", "--authfile=/x", "a b", "UPPER", "x:", "x@sha256:0", "$(id)"):
        assert host.hawse("pull", "--", bad, check=False).returncode == 1
    assert left(host) == []


def test_a_pull_takes_the_manifest_of_the_requested_platform(registry):
    host, name = registry.host, f"{REGISTRY}/many"
    listed = []
    for number, platform in enumerate(("amd64", "arm64", "riscv64", "arm/v6")):
        machine, _, variant = platform.partition("/")
        layer = make_tar(("machine", machine.encode()))
        config = json.dumps({
            "created": CREATED, "os": "linux", "architecture": machine, "variant": variant, "config": {},
            "rootfs": {"type": "layers", "diff_ids": [diff_id(layer)]},
        }).encode()  # fmt: skip
        digest = registry.push(saved(layer, config=config, tags=(f"m:{number}",)), f"many:{machine}")
        size = len(host.run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}:{machine}").stdout)
        listed.append({
            "digest": digest, "size": size, "platform": {"os": "linux", "architecture": machine, "variant": variant},
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        })  # fmt: skip
    kind = "application/vnd.docker.distribution.manifest.list.v2+json"
    digest = registry.put({"schemaVersion": 2, "mediaType": kind, "manifests": listed}, "many:latest", kind)
    shown = host.hawse("pull", "--platform", "linux/arm64", name).stdout
    assert f"\nDigest: {digest}\n" in shown
    assert host.hawse("image", "inspect", "-f", "{{.Architecture}}", name).stdout == "arm64\n"
    host.hawse("pull", "--platform", "linux/arm/v7", name)
    assert host.hawse("image", "inspect", "-f", "{{.Architecture}}/{{.Variant}}", name).stdout == "arm/v6\n"
    absent = host.hawse("pull", "--platform", "linux/s390x", name, check=False)
    assert absent.stderr.endswith("no matching manifest for linux/s390x in the manifest list entries\n")
    other = host.hawse("pull", "--platform", "linux/s390x", f"{name}:amd64", check=False)
    assert other.stderr.endswith("wanted linux/s390x, actual: linux/amd64\n")


def test_the_credentials_of_docker_are_used_only_for_their_registry(registry, tmp_path):
    """A program of the test acts as the registry, and records the path and the credentials of each request."""
    host = registry.host
    script = (
        "import http.server, sys\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        open(sys.argv[2], 'a').write(f\"{self.path} {self.headers.get('Authorization')}\\n\")\n"
        "        self.send_response(401)\n"
        "        self.send_header('WWW-Authenticate', 'Basic realm=\"x\"')\n"
        "        self.end_headers()\n"
        "    def log_message(self, *_): pass\n"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()\n"
    )
    seen = {port: tmp_path / port for port in ("5001", "5002")}
    for port, file in seen.items():
        file.touch()
        host.popen(sys.executable, "-c", script, port, str(file))
        until(lambda port=port: host.run("curl", "-s", f"http://127.0.0.1:{port}/", check=False).returncode == 0)
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"127.0.0.1:5001": {"auth": "bWU6c2VjcmV0"}}}))
    for port in seen:
        denied = host.hawse("pull", f"127.0.0.1:{port}/x", check=False, env={"DOCKER_CONFIG": str(tmp_path)})
        assert denied.stderr.startswith(f"Error response from daemon: pull access denied for 127.0.0.1:{port}/x, ")
    assert "Basic bWU6c2VjcmV0" in seen["5001"].read_text()
    assert "bWU6c2VjcmV0" not in seen["5002"].read_text()


def test_a_forged_or_too_large_image_leaves_nothing(registry):
    host = registry.host
    before = host.hawse("images", "-q").stdout
    layer = os.urandom(300_000)
    registry.push(saved(make_tar(("big", layer)), tags=("big:1",)), "big:latest")
    small = host.hawse("pull", f"{REGISTRY}/big", check=False, env={"HAWSE_IMAGE_LIMIT": "200000"})
    assert small.stderr.endswith("the image is larger than 200000 bytes (HAWSE_IMAGE_LIMIT)\n")
    manifest = json.loads(
        host.run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{REGISTRY}/big").stdout
    )
    target = manifest["layers"][0]
    file = registry.blob_file(target["digest"].removeprefix("sha256:"))
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    forged = host.hawse("pull", f"{REGISTRY}/big", check=False)
    assert forged.returncode == 1 and "Digest did not match" in forged.stderr
    file.write_bytes(good)
    lying = {**manifest, "layers": [{**target, "size": 5}]}
    registry.put(lying, "big:lying", manifest["mediaType"])
    assert host.hawse("pull", f"{REGISTRY}/big:lying", check=False).returncode == 1
    evil = make_tar(("../../etc/evil", b"x"))
    registry.push(saved(evil, tags=("evil:1",)), "evil:latest")
    outside = host.hawse("pull", f"{REGISTRY}/evil", check=False)
    assert "leads out of the archive" in outside.stderr
    assert (host.hawse("images", "-q").stdout, left(host)) == (before, [])


def test_an_interrupted_pull_ends_skopeo_and_leaves_nothing(registry):
    """The registry of this test never ends its answer."""
    host = registry.host
    slow = "import socket, time; s = socket.create_server(('127.0.0.1', 5003)); time.sleep(60)"
    host.popen(sys.executable, "-c", slow)
    until(lambda: "5003" in host.run("ss", "-ltn").stdout)
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        pulling = subprocess.Popen(host.command("pull", "127.0.0.1:5003/x"), env=host.env(HAWSE_WARM="off"),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        until(lambda: host.runs("skopeo"))
        pulling.send_signal(number)
        assert pulling.wait(10) == code
        until(lambda: not host.runs("skopeo"))
    assert left(host) == [], "the second pull has also removed the directory of the killed one"


def test_without_skopeo_a_pull_says_what_to_install(registry, tmp_path):
    host = registry.host
    for program in ("python3", "nft", "ip"):
        (tmp_path / program).symlink_to(shutil.which(program))
    done = host.hawse("pull", "alpine", check=False, env={"PATH": str(tmp_path), "HAWSE_WARM": "off"})
    assert done.returncode == 1
    assert done.stderr.endswith("which is not installed (run: apt-get install skopeo)\n")
