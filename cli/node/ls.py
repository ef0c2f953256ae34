"""The ``hawse node ls`` command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cli.app import App
from cli.output.documents import LIST_FORMAT
from cli.output.listing import list_template, omittable, write_listing
from cli.output.rows import FormatContext
from cli.pflag import FILTER, STRING, command, flag
from engine.names import natural_key

HEADER = {
    "ID": "ID", "Self": "", "Hostname": "HOSTNAME", "Status": "STATUS", "Availability": "AVAILABILITY",
    "ManagerStatus": "MANAGER STATUS", "EngineVersion": "ENGINE VERSION", "TLSStatus": "TLS STATUS",
}  # fmt: skip
TABLE = (
    "table {{.ID}} {{if .Self}}*{{else}} {{ end }}\t{{.Hostname}}\t{{.Status}}\t{{.Availability}}\t"
    "{{.ManagerStatus}}\t{{.EngineVersion}}"
)
ELIDED = ("ENGINE VERSION", "AVAILABILITY", "MANAGER STATUS")
RAW = (
    "node_id: {{.ID}}\nhostname: {{.Hostname}}\nstatus: {{.Status}}\navailability: {{.Availability}}\n"
    "manager_status: {{.ManagerStatus}}\n"
)


@command("ls [OPTIONS]", "List nodes in the swarm", aliases="hawse node ls, hawse node list")
@flag("--filter", "-f", kind=FILTER, usage="Filter output based on conditions provided")
@flag("--format", kind=STRING, usage=LIST_FORMAT)
@flag("--quiet", "-q", usage="Only display IDs")
@click.pass_obj
def ls(app: App, filter: dict[str, tuple[str, ...]], format: str, quiet: bool) -> None:
    """Print a table of the nodes, sorted by host name in natural order (``host2`` before ``host10``)."""
    documents = list(app.engine.swarm.nodes(filter))
    documents.sort(key=lambda d: (natural_key(d["Description"]["Hostname"]), d["ID"]))
    node_id = app.engine.swarm.node_id()
    elided = omittable(ELIDED, format)
    text = list_template(format, "node", TABLE, RAW, quiet=quiet)
    write_listing(app, text, [row(d, node_id) for d in documents], HEADER, elided=elided)


def row(document: Mapping[str, Any], node_id: str) -> FormatContext:
    """Return the fields of one node for a template; ``node_id`` is the id of this host's own node.

    The field Self says whether the node is this host's own node.
    """
    manager = document.get("ManagerStatus")
    status = "" if not manager else "Leader" if manager.get("Leader") else manager["Reachability"].capitalize()
    return FormatContext(
        "*node.nodeContext",
        {
            "Availability": document["Spec"]["Availability"].capitalize(),
            "EngineVersion": document["Description"]["Engine"]["EngineVersion"],
            "Hostname": document["Description"]["Hostname"],
            "ID": document["ID"],
            "ManagerStatus": status,
            "Self": document["ID"] == node_id,
            "Status": document["Status"]["State"].capitalize(),
            "TLSStatus": "Ready",
        },
    )
