"""The ``hawse network ls`` command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

from cli.app import App
from cli.output.documents import LIST_FORMAT
from cli.output.listing import list_template, omittable, write_columns, write_listing
from cli.output.rows import FormatContext, shows_only
from cli.pflag import FILTER, STRING, command, flag
from engine.model import NetworkSummary
from engine.names import SHORT_ID, natural_key

HEADER = {
    "ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "IPv4": "IPV4", "IPv6": "IPV6",
    "Internal": "INTERNAL", "Labels": "LABELS", "CreatedAt": "CREATED AT",
}  # fmt: skip
IN_BRIEF = ("ID", "Name", "Driver", "Scope")
ELIDED = ("SCOPE", "DRIVER")
TABLE = "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"
RAW = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"
TIMESTAMP = re.compile(r"(\S+)T(\d\d:\d\d:\d\d)(?:(\.\d*[1-9])0*|\.0+)?(Z|[+-]\d\d:\d\d)")


@command("ls [OPTIONS]", "List networks", aliases="hawse network ls, hawse network list")
@flag("--filter", "-f", kind=FILTER, usage='Provide filter values (e.g. "driver=bridge")')
@flag("--format", kind=STRING, usage=LIST_FORMAT)
@flag("--no-trunc", usage="Do not truncate the output")
@flag("--quiet", "-q", usage="Only display network IDs")
@click.pass_obj
def ls(app: App, filter: dict[str, tuple[str, ...]], format: str, no_trunc: bool, quiet: bool) -> None:
    """Print a table of the networks, sorted by name in natural order (``net2`` before ``net10``)."""
    text = list_template(format, "network", TABLE, RAW, quiet=quiet)
    if shows_only(text, IN_BRIEF):
        cells = columns(app.engine.networks.summaries(filter), no_trunc=no_trunc)
        return write_columns(app, text, cells, HEADER, elided=omittable(ELIDED, format, no_trunc=no_trunc))
    networks = sorted(app.engine.networks.list(filter), key=lambda network: natural_key(network["Name"]))
    return write_listing(app, text, [row(network, no_trunc=no_trunc) for network in networks], HEADER)


def columns(networks: Sequence[NetworkSummary], *, no_trunc: bool) -> dict[str, list[str]]:
    """Return the table cells of all networks: a map from each column's name to the cells of this column.

    The cells have the same values as in the rows that `row` returns.
    """
    shown = None if no_trunc else SHORT_ID
    return {
        "ID": [network.id[:shown] for network in networks],
        "Name": [network.name for network in networks],
        "Driver": [network.driver for network in networks],
        "Scope": [network.scope for network in networks],
    }


def row(network: Mapping[str, Any], *, no_trunc: bool) -> FormatContext:
    """Return the fields of a network's document for a template; with ``no_trunc``, the id is not shortened."""
    labels: Mapping[str, str] = network["Labels"] or {}
    return FormatContext(
        "*network.networkContext",
        {
            "CreatedAt": lambda: created_at(network["Created"]),
            "Driver": network["Driver"],
            "ID": network["Id"] if no_trunc else network["Id"][:SHORT_ID],
            "IPv4": lambda: word(has_ipv4(network)),
            "IPv6": word(network["EnableIPv6"]),
            "Internal": word(network["Internal"]),
            "Labels": lambda: ",".join(f"{key}={labels[key]}" for key in sorted(labels)),
            "Name": network["Name"],
            "Scope": network["Scope"],
        },
        lookups={"Label": lambda key: labels.get(key, "")},
        newer=("IPv4",),
    )


def has_ipv4(network: Mapping[str, Any]) -> bool:
    """Return whether a network has an IPv4 subnet; return True for a network without subnets, such as "host"."""
    subnets = [config["Subnet"] for config in network["IPAM"]["Config"] or ()]
    return not subnets or any(":" not in subnet for subnet in subnets)


def word(value: bool) -> str:
    """Return the word that Go prints for a boolean: ``true`` or ``false``."""
    return "true" if value else "false"


def created_at(timestamp: str) -> str:
    """Format an RFC 3339 time like Go's Time.String: ``2026-01-02 03:04:05.6 +0000 UTC``.

    A text in any other form is returned unchanged.
    """
    parts = TIMESTAMP.fullmatch(timestamp)
    if not parts:
        return timestamp
    day, clock, fraction, zone = parts.groups()
    offset = zone.replace(":", "")
    return f"{day} {clock}{fraction or ''} {'+0000 UTC' if zone == 'Z' else f'{offset} {offset}'}"
