"""The ``hawse swarm init`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.app import App, StatusError
from cli.options.address import parse_cidr
from cli.pflag import STRING, Kind, command, flag, scalar
from engine.api import SwarmInit
from engine.errors import reason_of
from engine.golang.strconv import parse_uint

TEXT = """Swarm initialized: current node ({node}) is now a manager.

To add a worker to this swarm, run the following command:

    hawse swarm join --token {token} {address}

To add a manager to this swarm, run 'hawse swarm join-token manager' and follow the instructions.

"""
_WITHOUT_QUOTES = str.maketrans("", "", "\"'`")


def _fold_networks(values: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return ``values``, the networks of earlier uses of ``--default-addr-pool``, followed by those in ``text``.

    ``text`` is a comma-separated list of networks in CIDR notation, the value of one more use of the flag. As in
    pflag's IPNetSlice, all quote characters in ``text`` are ignored. Raises ValueError if one of the networks is
    invalid.
    """
    text = text.translate(_WITHOUT_QUOTES)
    return (*values, *map(_network, text.split(","))) if text else values


def _network(text: str) -> str:
    try:
        return str(parse_cidr(text.strip()).network)
    except ValueError:
        raise ValueError(f"invalid string being converted to CIDR: {text}") from None


NETWORKS = Kind("ipNetSlice", _fold_networks, (), show=lambda values: f"[{','.join(values)}]")
UINT32 = scalar("uint32", parse_uint, 0)


@command("init [OPTIONS]", "Initialize a swarm")
@flag("--advertise-addr", kind=STRING, usage='Advertised address (format: "<ip|interface>[:port]")')
@flag("--cacert", kind=STRING, usage="File with the CA certificate that verifies --store")
@flag("--cert", kind=STRING, usage="File with the client certificate for --store")
@flag(
    "--data-path-addr",
    kind=STRING,
    usage='Address or interface to use for data path traffic (format: "<ip|interface>")',
)
@flag("--default-addr-pool", kind=NETWORKS, usage="default address pool in CIDR format")
@flag("--default-addr-pool-mask-length", kind=UINT32, usage="default address pool subnet mask length", default_value=24)
@flag("--key", kind=STRING, usage="File with the private key of --cert")
@flag("--store", kind=STRING, usage="Use this etcd instead of starting a member (URLs, separated by commas)")
@click.pass_obj
def init(app: App, /, **flags: Any) -> None:
    """Create a cluster and print the command with which other nodes join the cluster."""
    request = SwarmInit(
        advertise=flags["advertise_addr"],
        data_path=flags["data_path_addr"],
        pools=tuple(flags["default_addr_pool"]),
        subnet_size=flags["default_addr_pool_mask_length"],
        store=tuple(u for u in flags["store"].split(",") if u),
        store_files={name: read(flags[name]) for name in ("cacert", "cert", "key") if flags[name]},
    )
    with app.waiting("Starting the cluster's store"):
        node = app.engine.swarm.init(request)
    token, address = app.engine.swarm.join_token("worker")
    app.out(TEXT.format(node=node, token=token, address=address))


def read(path: str) -> str:
    """Return the text of a file that a flag names; raises StatusError if the file cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise StatusError(f"open {path}: {reason_of(error)}") from error
    except UnicodeDecodeError as error:
        raise StatusError(f"open {path}: not a PEM file") from error
