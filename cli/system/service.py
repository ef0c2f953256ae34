"""The ``hawse system service`` command, which serves Docker's Engine API."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

import click

from cli.app import App, StatusError
from cli.launcher.launch import PACKAGES
from cli.pflag import LIST, STRING, command, exactly, flag
from engine.paths import api_socket, run_directory

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
KEPT = ("PATH", "LISTEN_PID", "LISTEN_FDS", "TZ", *PROXIES, *map(str.lower, PROXIES))
"""The environment variables that the service keeps, besides hawse's own variables. Image pulls use the proxy
variables.
"""
BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from api.docker.__main__ import main; sys.exit(main())"
TLS_FLAGS = ("tlscacert", "tlscert", "tlskey")
NEEDS_TLS = (
    "hawse: --host tcp://… needs --tlscacert, --tlscert and --tlskey, because whoever reaches this API is root on this "
    "host; clients must have a certificate of that authority"
)


@command(
    "service [OPTIONS]", "Serve Docker's Engine API, so that docker, compose and other clients use hawse", exactly(0)
)
@flag("--group", kind=STRING, usage="Group that may use the socket; each of its members is then root on this host")
@flag("--host", kind=LIST, usage="Address to listen on: unix://PATH, or tcp://HOST:PORT (only with TLS)")
@flag("--socket", kind=STRING, usage="Path of the unix socket (default HAWSE_RUN/docker.sock)")
@flag("--tlscacert", kind=STRING, usage="File with the CA certificate that verifies clients over TCP")
@flag("--tlscert", kind=STRING, usage="File with the certificate of this server")
@flag("--tlskey", kind=STRING, usage="File with the private key of --tlscert")
@click.pass_obj
def service(app: App, /, group: str, host: Sequence[str], socket: str, **tls: str) -> None:
    """Replace this process by the API service, which runs in the foreground until SIGTERM or SIGINT."""
    settings = service_settings(group, host, socket, tls)
    environment = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("HAWSE_")}
    environment["HAWSE_RUN"] = str(run_directory())
    environment["MALLOC_ARENA_MAX"] = "2"  # without this limit, glibc keeps one memory arena for each thread
    environment["GLIBC_TUNABLES"] = "glibc.pthread.stack_cache_size=0"  # do not keep the stacks of ended threads
    app.stderr.flush()
    arguments = [sys.executable, "-I", "-X", "utf8", "-c", BOOT, PACKAGES, json.dumps(settings)]
    os.execve(sys.executable, arguments, environment)


def service_settings(group: str, hosts: Sequence[str], socket: str, tls: Mapping[str, str]) -> dict[str, str]:
    """Convert the flags to the fields of `api.docker.listeners.Settings`; raises StatusError for invalid flags.

    ``group``, ``hosts`` and ``socket`` are the values of ``--group``, ``--host`` and ``--socket``. ``tls`` maps the
    names of the TLS flags, such as "tlscert", to the paths of files. An empty value means that the flag was not given.
    """
    paths: list[str] = [socket] if socket else []
    addresses: list[str] = []
    for host in hosts:
        scheme, separator, rest = host.partition("://")
        if scheme not in ("unix", "tcp") or not separator or not rest:
            raise StatusError(f"hawse: invalid --host {host}: use unix://PATH or tcp://HOST:PORT")
        (paths if scheme == "unix" else addresses).append(rest)
    if len(paths) > 1 or len(addresses) > 1:
        raise StatusError("hawse: the service listens on one unix socket and one TCP address at most")
    files = {name.removeprefix("tls"): os.path.abspath(value) for name, value in tls.items() if value}
    if addresses and len(files) < len(TLS_FLAGS):
        raise StatusError(NEEDS_TLS)
    if files and not addresses:
        raise StatusError("hawse: --tlscacert, --tlscert and --tlskey are for --host tcp://…")
    path = os.path.abspath(paths[0]) if paths else "" if addresses else str(api_socket())
    if group and not path:
        raise StatusError("hawse: --group is for a unix socket")
    return {"path": path, "group": group, "address": "".join(addresses), **files}
