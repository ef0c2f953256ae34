"""The context ``default``, which is this host, and the error for any other name."""

from __future__ import annotations

from cli.absent import ONLY_HERE
from cli.app import App, StatusError
from cli.output.documents import Json
from engine.paths import api_socket

DEFAULT = "default"
STORAGE = "<IN MEMORY>"


def endpoint(app: App) -> str:
    """Return the address at which this host serves Docker's API.

    As in Docker, ``--host`` and DOCKER_HOST override this address. `cli.root` has checked that they name a socket of
    this host.
    """
    hosts = app.global_flags["host"]
    return hosts[0] if hosts else app.environ.get("DOCKER_HOST") or f"unix://{api_socket()}"


def check_name(name: str) -> None:
    """Check that ``name`` is the name of the only context; raises StatusError for any other name."""
    if not name:
        raise StatusError("context name cannot be empty")
    if name != DEFAULT:
        raise StatusError(f'context "{name}": context not found\n{ONLY_HERE}')


def document(app: App) -> Json:
    """Return the inspect document of the context."""
    return {
        "Name": DEFAULT,
        "Metadata": {},
        "Endpoints": {"docker": {"Host": endpoint(app), "SkipTLSVerify": False}},
        "TLSMaterial": {},
        "Storage": {"MetadataPath": STORAGE, "TLSPath": STORAGE},
    }
