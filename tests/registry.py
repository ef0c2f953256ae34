"""A real registry (docker-registry) on a host of a test, at 127.0.0.1:5000."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from tests.conftest import Host, until

REGISTRY = "127.0.0.1:5000"


class Registry:
    """A registry that runs on a host, and its files."""

    def __init__(self, host: Host, state: Path) -> None:
        self.host, self.files = host, state / "registry"
        config = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(self.files)}},
            "http": {"addr": REGISTRY},
        }
        (state / "registry.json").write_text(json.dumps(config))
        self.process = host.popen("docker-registry", "serve", str(state / "registry.json"), stderr=subprocess.DEVNULL)
        until(lambda: host.run("curl", "-sf", f"http://{REGISTRY}/v2/", check=False).returncode == 0)

    def push(self, archive: bytes, name: str) -> str:
        """Push the image of an archive, and return the digest of its manifest."""
        file = self.host.state / "push.tar"
        file.write_bytes(archive)
        target = f"docker://{REGISTRY}/{name}"
        digest = self.host.state / "digest"
        self.host.run("skopeo", "copy", "--dest-tls-verify=false", f"--digestfile={digest}", f"docker-archive:{file}",
                      target)  # fmt: skip
        return digest.read_text()

    def put(self, document: object, name: str, media_type: str) -> str:
        """Store a manifest or a list of manifests as it is, and return its digest."""
        data = json.dumps(document).encode()
        (self.host.state / "manifest").write_bytes(data)
        repository, _, tag = name.partition(":")
        self.host.run("curl", "-sf", "-X", "PUT", "-H", f"Content-Type: {media_type}", "--data-binary",
                      f"@{self.host.state}/manifest", f"http://{REGISTRY}/v2/{repository}/manifests/{tag}")  # fmt: skip
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def blob_file(self, data_digest: str) -> Path:
        return self.files / "docker/registry/v2/blobs/sha256" / data_digest[:2] / data_digest / "data"
