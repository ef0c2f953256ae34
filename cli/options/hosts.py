"""Parse ``--dns-search``, ``--add-host`` and ``--link``, which affect the name resolution in a container."""

from __future__ import annotations

import re

from engine.golang.strconv import quote
from engine.validate.addresses import parse_address
from engine.validate.container import HOST_GATEWAY

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"({_LABEL}(?:\.{_LABEL})*)\.?[\t\n\f\r ]*")
_LONGEST_DOMAIN = 254  # characters, as in docker's command line


def search_domain(text: str) -> str:
    """Check one ``--dns-search`` value and return the domain without a trailing dot; raises ValueError.

    The value ``.`` means "no search domain" and is returned unchanged.
    """
    domain = text.strip(" ")
    if domain == ".":
        return domain
    match = _DOMAIN.fullmatch(domain)
    if not match or len(match[1]) > _LONGEST_DOMAIN or not re.search("[a-zA-Z]", domain):
        raise ValueError(f"{domain} is not a valid domain")
    return match[1]


def extra_host(text: str) -> str:
    """Convert an ``--add-host`` value, ``name:ip`` or ``name=ip``, to the form ``name:ip``; raises ValueError.

    The IP address may be in brackets. The word ``host-gateway`` is allowed in place of the IP address.
    """
    name, separator, address = text.partition("=" if "=" in text else ":")
    if not separator or not name or ":" in name:
        raise ValueError(f"bad format for add-host: {quote(text)}")
    if address == HOST_GATEWAY:
        return f"{name}:{address}"
    if len(address) > 2 and address[0] == "[" and address[-1] == "]":
        address = address[1:-1]
    if parse_address(address.strip()) is None:
        raise ValueError(f"invalid IP address in add-host: {quote(address)}")
    return f"{name}:{address}"


def link(text: str) -> str:
    """Check a ``--link`` value, ``container[:alias]``, and return it as the user typed it; raises ValueError."""
    if not text:
        raise ValueError("empty string specified for links")
    if text.count(":") > 1:
        raise ValueError(f"bad format for links: {text}")
    return text
