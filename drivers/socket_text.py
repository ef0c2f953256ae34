"""The text of an address with a port."""

from __future__ import annotations


def socket_text(address: object, port: object) -> str:
    """Return an address and a port (or any text that begins with a port), such as "0.0.0.0:80" or "[::1]:80".

    ``address`` is the text of an IP address or host name, or an address object. An IPv6 address gets brackets, as in
    Go's net.JoinHostPort.
    """
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
