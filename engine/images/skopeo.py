"""Read manifests and download images from registries with the program skopeo.

A registry may be hostile. skopeo therefore runs as a separate process, and writes only into its own directory. The
kernel limits the size of each file (RLIMIT_FSIZE). This module limits the total size of all files. Arguments never pass
through a shell, and no file is named after an image.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from engine.errors import EngineError, InvalidArgument, NotFound, PermissionDenied, Unavailable, shown
from engine.images.document import SIZE_LIMIT
from engine.images.limits import Limits
from engine.runtime import syscalls
from engine.validate.image_reference import ImageReference

PROGRAM = "skopeo"
NOT_INSTALLED = "hawse pulls images with skopeo, which is not installed (run: apt-get install skopeo)"

_POLICY = Path("/etc/containers/policy.json")
_FATAL = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_PREFIX = re.compile(
    r'^(?:Error parsing image name|initializing source|Error retrieving manifest)[^"]*"?docker://[^ ]*: '
)
_POLL_SECONDS = 0.1
_MESSAGES_LIMIT = 1 << 16  # maximum bytes of skopeo's messages that are read
_DENIED = ("requested access to the resource is denied", "unauthorized", "authentication required")
_UNKNOWN = ("name unknown", "repository name not known to registry")


def is_installed() -> bool:
    """Return whether skopeo is in $PATH."""
    return shutil.which(PROGRAM) is not None


class Skopeo:
    """Runs skopeo for the images of one repository of a registry.

    ``work`` is a private directory for temporary files. ``auth`` is the content of a docker ``config.json`` with the
    registry's credentials, or an empty mapping.
    """

    def __init__(self, reference: ImageReference, work: Path, auth: Mapping[str, Any], limits: Limits) -> None:
        self._reference, self._work, self._limits = reference, work, limits
        self._auth_file = work / "auth.json"
        with open(os.open(self._auth_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(auth or {"auths": {}}, file)

    def manifest(self, tag: str) -> bytes:
        """Return the manifest of a tag (``:latest``) or digest (``@sha256:…``), as the registry sends it.

        Raises `EngineError` if skopeo fails.
        """
        secure = f"--tls-verify={self._verification()}"
        arguments = ["inspect", "--raw", "--no-tags", secure, f"--authfile={self._auth_file}", self._source(tag)]
        with tempfile.TemporaryFile(dir=self._work) as output:
            with self._running(arguments, output.fileno(), SIZE_LIMIT) as (process, messages):
                if process.wait():
                    raise self._failure(messages)
            output.seek(0)
            return output.read()

    def download(self, digest: str, directory: Path) -> Iterator[Mapping[str, int]]:
        """Download an image by the digest of its manifest; yield the sizes of its files several times a second.

        ``directory`` is created, and gets the manifest and the blobs. Each result maps the names of the files to their
        sizes in bytes. Raises `EngineError`. If the caller closes the iterator, the download ends.
        """
        directory.mkdir(mode=0o700)
        secure = f"--src-tls-verify={self._verification()}"
        target = f"dir:{directory}"
        arguments = ["copy", secure, f"--src-authfile={self._auth_file}", self._source(f"@{digest}"), target]
        with self._running(arguments, subprocess.DEVNULL, self._limits.size) as (process, messages):
            while process.poll() is None:
                sizes = _sizes(directory)
                if sum(sizes.values()) > self._limits.size:
                    raise InvalidArgument(self._limits.too_large("image"))
                yield sizes
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
            if process.returncode:
                raise self._failure(messages)

    @contextmanager
    def _running(
        self, arguments: Sequence[str], output: int, limit: int
    ) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
        """Run skopeo during the ``with`` block, and kill it at the end of the block.

        Yields the process, and the file that gets skopeo's error messages. ``output`` is the file descriptor that
        becomes skopeo's standard output. The kernel kills skopeo if this process dies. ``limit`` is the maximum size in
        bytes of each file that skopeo writes.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise Unavailable(NOT_INSTALLED)
        policy = [] if _POLICY.exists() else ["--insecure-policy"]
        environment = {key: value for key, value in os.environ.items() if key != "REGISTRY_AUTH_FILE"}
        with tempfile.TemporaryFile(dir=self._work) as messages:
            process = subprocess.Popen(
                [program, f"--tmpdir={self._work}", *policy, *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=messages, env=environment, cwd=self._work,
                preexec_fn=partial(syscalls.die_with_parent, os.getpid()),  # noqa: PLW1509 (it takes no lock)
            )  # fmt: skip
            try:
                with suppress(ProcessLookupError):
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
                    resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
                yield process, messages
            finally:
                process.kill()
                process.wait()

    def _source(self, tag: str) -> str:
        return f"docker://{self._reference.domain}/{self._reference.path}{tag}"

    def _verification(self) -> str:
        """Return the value of skopeo's option ``--tls-verify``: "false" for a registry on loopback, otherwise "true".

        With "false", the registry may use plain HTTP, as with Docker.
        """
        host = re.sub(r":[0-9]+$", "", self._reference.domain).strip("[]")
        try:
            insecure = ipaddress.ip_address(host).is_loopback
        except ValueError:
            insecure = host == "localhost"
        return "false" if insecure else "true"

    def _failure(self, messages: Any) -> EngineError:
        """Return the error for skopeo's last message in the file ``messages``, if possible in Docker's words."""
        size = messages.seek(0, os.SEEK_END)
        messages.seek(max(0, size - _MESSAGES_LIMIT))
        text = messages.read().decode("utf-8", "replace")
        reasons = _FATAL.findall(text)
        reason = _PREFIX.sub("", _unescaped(reasons[-1]) if reasons else text.strip().rpartition("\n")[2])
        if (network := reason.find('Get "')) >= 0:
            return EngineError(_printable(reason[network:]))
        if "manifest unknown" in reason:
            return NotFound(f"manifest for {self._reference} not found: manifest unknown: manifest unknown")
        if any(phrase in reason for phrase in (*_DENIED, *_UNKNOWN)):
            kind = NotFound if any(phrase in reason for phrase in _UNKNOWN) else PermissionDenied
            return kind(
                f"pull access denied for {self._reference.name}, repository does not exist or may require "
                f"'docker login': {shown(reason.rpartition(': ')[2])}"
            )
        return EngineError(f"pulling {self._reference} failed: {_printable(reason) or 'skopeo was killed'}")


def _sizes(directory: Path) -> dict[str, int]:
    """Return the size in bytes of each file in a directory. A file that vanishes during the call is skipped."""
    sizes = {}
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
    return sizes


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def _printable(text: str) -> str:
    """Return a message without control characters, because a registry may send any bytes."""
    return "".join(c if c.isprintable() else " " for c in text)
