"""Read EndpointSettings of a request: what a container asks for on one network."""

from __future__ import annotations

from api.docker.fields import Fields
from engine.model import EndpointIPAM, EndpointSettings


def endpoint_settings(body: Fields) -> EndpointSettings:
    """Return the engine's settings for an EndpointSettings object."""
    ipam = body.child("IPAMConfig")
    return EndpointSettings(
        ipam=EndpointIPAM(ipam.text("IPv4Address"), ipam.text("IPv6Address"), ipam.texts("LinkLocalIPs") or ())
        if body.has("IPAMConfig")
        else None,
        links=body.texts("Links"),
        aliases=body.texts("Aliases"),
        driver_opts=body.pairs("DriverOpts"),
        mac_address=body.text("MacAddress"),
        gw_priority=body.number("GwPriority"),
    )
