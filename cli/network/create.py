"""The ``hawse network create`` command."""

from __future__ import annotations

from typing import Any

import click

from cli.app import App
from cli.network.ipam import ipam_configs
from cli.options.environment import label, pairs_to_map
from cli.pflag import MAP, STRING, STRINGS, changed, command, exactly, flag, list_of
from engine.model import NetworkCreate


@command("create [OPTIONS] NETWORK", "Create a network", exactly(1))
@flag("--attachable", usage="Enable manual container attachment")
@flag("--aux-address", kind=MAP, usage="Auxiliary IPv4 or IPv6 addresses used by Network driver")
@flag("--config-from", kind=STRING, usage="The network from which to copy the configuration")
@flag("--config-only", usage="Create a configuration only network")
@flag("--driver", "-d", kind=STRING, usage="Driver to manage the Network", default_value="bridge")
@flag("--gateway", kind=STRINGS, usage="IPv4 or IPv6 Gateway for the master subnet")
@flag("--ingress", usage="Create swarm routing-mesh network")
@flag("--internal", usage="Restrict external access to the network")
@flag("--ip-range", kind=STRINGS, usage="Allocate container ip from a sub-range")
@flag("--ipam-driver", kind=STRING, usage="IP Address Management Driver", default_value="default")
@flag("--ipam-opt", kind=MAP, usage="Set IPAM driver specific options")
@flag("--ipv4", usage="Enable or disable IPv4 address assignment", default_value=True, hidden=True)
@flag("--ipv6", usage="Enable IPv6 networking")
@flag("--label", kind=list_of(label), usage="Set metadata on a network")
@flag("--opt", "-o", kind=MAP, usage="Set driver specific options")
@flag("--scope", kind=STRING, usage="Control the network's scope")
@flag("--subnet", kind=STRINGS, usage="Subnet in CIDR format that represents a network segment")
@click.argument("name")
@click.pass_context
def create(ctx: click.Context, /, name: str, **flags: Any) -> None:
    """Create one network and print its id."""
    app: App = ctx.obj
    request = NetworkCreate(
        name=name,
        driver=flags["driver"],
        scope=flags["scope"],
        enable_ipv4=flags["ipv4"] if changed(ctx, "ipv4") else None,
        enable_ipv6=flags["ipv6"],
        ipam_driver=flags["ipam_driver"],
        ipam_options=flags["ipam_opt"],
        ipam_config=ipam_configs(flags["subnet"], flags["ip_range"], flags["gateway"], flags["aux_address"]),
        internal=flags["internal"],
        attachable=flags["attachable"],
        ingress=flags["ingress"],
        config_only=flags["config_only"],
        config_from=flags["config_from"],
        options=flags["opt"],
        labels=pairs_to_map(flags["label"]),
    )
    created = app.engine.networks.create(request)
    for warning in created.warnings:
        app.err_lines([f"WARNING: {warning}"])
    app.out(created.id + "\n")
    if app.stderr.isatty():
        app.err_lines(app.engine.networks.advice(request))
