"""docker (pull, load, import, tag, images, rmi) and docker-py handle images through the API."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.render.version import architecture
from tests.conftest import until
from tests.netns.images.archives import CREATED, diff_id, make_tar, saved
from tests.registry import REGISTRY, Registry

from .conftest import front_of

LAYER = make_tar(("x", b"data"))


@pytest.fixture(scope="module")
def registry(service, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(service.host, tmp_path_factory.mktemp("registry"))


def test_pull_prints_dockers_lines_and_the_digest(service, registry):
    digest = registry.push(saved(LAYER, config={"Cmd": ["x"]}), "team/app:1")
    name = f"{REGISTRY}/team/app:1"
    shown = service.docker("pull", name).stdout.splitlines()
    assert (shown[0], shown[-3:]) == (
        "1: Pulling from team/app",
        [f"Digest: {digest}", f"Status: Downloaded newer image for {name}", name],
    )
    assert f"Status: Image is up to date for {name}" in service.docker("pull", name).stdout
    assert service.docker("images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}", name).stdout == (
        f"{REGISTRY}/team/app 1 {digest}\n"
    )
    lines = service.ask("POST", f"/images/create?fromImage={REGISTRY}/team/app&tag={digest}").body.splitlines()
    assert json.loads(lines[0]) == {"status": "Pulling from team/app", "id": digest}
    missing = service.docker("pull", f"{REGISTRY}/no", check=False)
    assert missing.stderr.startswith(f"Error response from daemon: manifest for {REGISTRY}/no:latest not found: ")
    other = service.docker("pull", "--platform", "linux/s390x", name, check=False)
    assert "does not match the specified platform" in other.stderr
    service.docker("rmi", name)
    run = service.docker("run", "--rm", name, check=False)
    assert run.stderr.startswith(f"Unable to find image '{name}' locally\n1: Pulling from team/app\n")
    service.docker("rmi", name)


def test_a_pull_ends_when_the_client_goes_or_the_front_is_killed(service):
    """The registry of this test never answers."""
    slow = "import socket, time; s = socket.create_server(('127.0.0.1', 5004)); time.sleep(60)"
    service.host.popen(sys.executable, "-c", slow)
    until(lambda: "5004" in service.host.run("ss", "-ltn").stdout)
    for victim in ("client", "front"):
        command = ["docker", "pull", "127.0.0.1:5004/x"]
        pulling = subprocess.Popen(command, env=service.environment, stdout=subprocess.DEVNULL)
        until(lambda: service.host.runs("skopeo"))
        os.kill(pulling.pid if victim == "client" else front_of(service), signal.SIGKILL)
        pulling.wait()
        until(lambda: not service.host.runs("skopeo"))
        until(lambda: not list((service.host.root / "images").glob(".incoming*")))


def test_credentials_may_come_with_the_request(service):
    """The registry of this test asks for credentials, and records the credentials that it gets."""
    seen = service.host.state / "seen"
    script = (
        "import http.server, sys\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        open(sys.argv[1], 'a').write(f\"{self.headers.get('Authorization')}\\n\")\n"
        "        self.send_response(401)\n"
        "        self.send_header('WWW-Authenticate', 'Basic realm=\"x\"')\n"
        "        self.end_headers()\n"
        "http.server.HTTPServer(('127.0.0.1', 5005), H).serve_forever()\n"
    )
    service.host.popen(sys.executable, "-c", script, str(seen), stderr=subprocess.DEVNULL)
    until(lambda: "5005" in service.host.run("ss", "-ltn").stdout)
    auth = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": "secret"}).encode()).decode()
    answer = service.ask("POST", "/images/create?fromImage=127.0.0.1:5005/x&tag=1", **{"X-Registry-Auth": auth})
    assert answer.message.startswith(
        "pull access denied for 127.0.0.1:5005/x, repository does not exist or may require"
    )
    assert f"Basic {base64.b64encode(b'me:secret').decode()}" in seen.read_text()


def test_load_tag_and_remove(service, tmp_path: Path):
    docker = service.docker
    archive = tmp_path / "image.tar"
    archive.write_bytes(saved(LAYER, config={"Labels": {"a": "b"}}, tags=("app:1", "app:2")))
    assert docker("load", "-i", str(archive)).stdout == "Loaded image: app:1\nLoaded image: app:2\n"
    docker("tag", "app:1", "other")
    listed = docker("images", "--filter", "label=a=b", "--format", "{{.Repository}}:{{.Tag}}").stdout
    assert sorted(listed.split()) == ["app:1", "app:2", "other:latest"]
    (document,) = json.loads(docker("image", "inspect", "app:1").stdout)
    assert docker("rmi", "app:1", "other").stdout == "Untagged: app:1\nUntagged: other:latest\n"
    assert docker("rmi", "app:2").stdout == f"Untagged: app:2\nDeleted: {document['Id']}\n"
    missing = docker("rmi", "app:2", check=False)
    assert (missing.returncode, missing.stderr) == (1, "Error response from daemon: No such image: app:2\n")
    archive.write_bytes(b"no archive" * 1000)
    broken = docker("load", "-i", str(archive), check=False)
    assert broken.returncode == 1 and service.ask("GET", "/_ping").status == 200
    assert docker("tag", "nosuch", "x", check=False).stderr == (
        "Error response from daemon: No such image: nosuch:latest\n"
    )


def test_a_saved_image_is_loaded_again(service, tmp_path):
    service.docker("tag", "bb", "saved:1")
    for command in (("save", "-o", "saved.tar", "saved:1"), ("save", "-o", "saved.tar", "bb", "saved")):
        service.docker(*command)
    service.docker("rmi", "saved:1")
    assert "Loaded image: saved:1\n" in service.docker("load", "-i", "saved.tar").stdout
    assert service.docker("run", "--rm", "saved:1", "echo", "hello").stdout == "hello\n"
    missing = service.docker("save", "-o", "no.tar", "bb", "nosuch", check=False)
    assert missing.stderr == "Error response from daemon: No such image: nosuch\n"
    service.docker("rmi", "saved:1")
    service.docker("image", "prune", "-f")  # removes the old image bb, whose name the loaded image has now


def test_a_present_image_of_another_platform(service):
    """Texts and exit codes are those of Docker 26.1.5."""
    config = json.dumps({
        "created": CREATED, "os": "linux", "architecture": "s390x", "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id(LAYER)]},
    }).encode()  # fmt: skip
    (service.host.state / "other.tar").write_bytes(saved(LAYER, config=config, tags=("other:1",)))
    service.docker("load", "-i", "other.tar")
    here = f"linux/{architecture()}"
    warning = "WARNING: The requested image's platform (linux/s390x) does not match the detected host platform ("
    for create in (service.docker, service.host.hawse):
        assert create("create", "other:1").stderr.startswith(warning)
        assert create("create", "--platform", "linux/s390x", "other:1").stderr == ""
        refused = create("create", "--pull", "never", "--platform", here, "other:1", check=False)
        reason = f"does not match the specified platform: wanted {here}, actual: linux/s390x\n"
        assert refused.stderr == f"Error response from daemon: image with reference other:1 was found but {reason}"
        pulled = create("create", "--platform", here, "127.0.0.1:1/other", check=False)
        service.docker("tag", "other:1", "127.0.0.1:1/other")
        again = create("create", "--platform", here, "127.0.0.1:1/other", check=False)
        assert pulled.stderr.startswith("Unable to find image '127.0.0.1:1/other:latest' locally\n")
        assert again.stderr.splitlines() == pulled.stderr.splitlines(), "an image of another platform is missing"
        service.docker("rmi", "127.0.0.1:1/other")
    unknown = service.ask("POST", "/containers/create?platform=x", {"Image": "other:1"})
    assert (unknown.status, unknown.message) == (400, '"x": unknown operating system or architecture: invalid argument')
    data = service.ask("GET", "/images/other:1/json").json["GraphDriver"]["Data"]
    created = service.docker("create", "other:1").stdout.strip()
    layers = service.ask("GET", f"/containers/{created}/json").json["GraphDriver"]["Data"]
    assert (list(data), list(layers)) == (
        ["MergedDir", "UpperDir", "WorkDir"], ["LowerDir", "MergedDir", "UpperDir", "WorkDir"]
    )  # fmt: skip
    assert layers["LowerDir"] == data["UpperDir"] and (Path(data["UpperDir"]) / "x").exists()
    service.docker("rm", *service.docker("ps", "-aq").stdout.split())
    service.docker("rmi", "other:1")


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ({}, "unknown"), ({"os": "linux"}, "linux"),
        ({"os": "linux", "architecture": "arm", "variant": "7"}, "linux/arm/7"),
    ],
)  # fmt: skip
def test_a_warning_names_the_platform_as_the_image_states_it(service, stated, shown):
    """Texts are those of Docker 26.1.5, also for an image that states no architecture."""
    layers = {"type": "layers", "diff_ids": [diff_id(LAYER)]}
    config = json.dumps({"created": CREATED, "config": {"Cmd": ["true"]}, "rootfs": layers, **stated}).encode()
    (service.host.state / "stated.tar").write_bytes(saved(LAYER, config=config, tags=("stated:1",)))
    service.docker("load", "-i", "stated.tar")
    warning = f"WARNING: The requested image's platform ({shown}) does not match the detected host platform ("
    for create in (service.docker, service.host.hawse):
        created = create("create", "stated:1")
        assert created.stderr.startswith(warning)
        service.docker("rm", created.stdout.strip())
        refused = create("create", "--pull", "never", "--platform", "linux/s390x", "stated:1", check=False)
        assert refused.stderr.endswith(f"wanted linux/s390x, actual: {shown}\n")
    service.docker("rmi", "stated:1")


def test_an_image_for_any_variant_of_this_architecture_gives_no_warning(service):
    """hawse does not know the variant of the host's processor. A platform that the user gives is compared."""
    here = f"linux/{architecture()}"
    config = json.dumps({
        "created": CREATED, "os": "linux", "architecture": architecture(), "variant": "v9", "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id(LAYER)]},
    }).encode()  # fmt: skip
    (service.host.state / "variant.tar").write_bytes(saved(LAYER, config=config, tags=("variant:1",)))
    service.docker("load", "-i", "variant.tar")
    for create in (service.docker, service.host.hawse):
        created = create("create", "variant:1")
        assert created.stderr == ""
        service.docker("rm", created.stdout.strip())
        refused = create("create", "--pull", "never", "--platform", here, "variant:1", check=False)
        assert refused.stderr.endswith(f"wanted {here}, actual: {here}/v9\n")
    service.docker("rmi", "variant:1")


def test_an_imported_image_is_pruned_only_with_all(service):
    answer = service.ask("POST", "/images/create?fromSrc=-&repo=plain&tag=1", LAYER, **{"Content-Type": "text/plain"})
    image_id = json.loads(answer.body)["status"]
    assert service.docker("images", "-q", "--no-trunc", "plain:1").stdout == f"{image_id}\n"
    assert "deleted: " not in service.docker("image", "prune", "-f").stdout
    assert f"deleted: {image_id}" in service.docker("image", "prune", "-af").stdout
    assert service.ask("POST", "/images/create?fromSrc=http://x/y").status == 400
    service.docker("build", ".", check=False)


def test_docker_py_pulls_tags_loads_and_removes_images(client, registry):
    registry.push(saved(LAYER), "py:3")
    image = client.images.pull(f"{REGISTRY}/py", tag="3")
    assert image.tags == [f"{REGISTRY}/py:3"]
    assert image.tag("py", "4") and client.images.get("py:4").id == image.id
    (loaded,) = client.images.load(io.BytesIO(saved(make_tar(("y", b"z")), tags=("py:5",))))
    assert loaded.tags == ["py:5"]
    client.images.remove(loaded.id, force=True)
    client.images.remove(image.id, force=True)
    assert "py:4" not in [tag for each in client.images.list() for tag in each.tags]


def test_a_pull_goes_through_the_proxy_of_the_service(service):
    """The proxy of this test prints the request, and refuses it."""
    refuse = (
        "import socket; c = socket.create_server(('127.0.0.1', 3128)).accept()[0]; print(c.recv(99).split(b'\\r')[0]);"
        "c.sendall(b'HTTP/1.1 403 no\\r\\nContent-Length: 0\\r\\n\\r\\n')"
    )
    proxy = service.host.popen(sys.executable, "-c", refuse, stdout=subprocess.PIPE, text=True)
    until(lambda: "3128" in service.host.run("ss", "-ltn").stdout)
    service.stop()
    service.start(HTTPS_PROXY="http://127.0.0.1:3128")
    assert service.docker("pull", "registry.test:5000/x", check=False).returncode == 1
    assert proxy.communicate(timeout=10)[0] == "b'CONNECT registry.test:5000 HTTP/1.1'\n"
    service.stop()
    service.start()
