"""Redirection of the resolver's port 53 inside a sandbox to the port that the resolver is bound to.

A container may run its own name server on the wildcard address and port 53. The kernel refuses that bind while another
socket is bound to port 53 of any address. Therefore, the resolver is bound to another port, and two short chains per
sandbox change the port numbers in packets. The chains do not use connection tracking. Queries are changed before they
reach the container's own rules. Answers are changed after they have passed the container's own rules.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from drivers.linux import libnftables

TABLE = "hawse_resolver"
PROTOCOLS = ("udp", "tcp")


def redirect(address: IPv4Address, public: int, bound: int) -> None:
    """Redirect ``address``:``public`` to port ``bound``, replacing an earlier redirection.

    Runs in the calling thread's network namespace. Raises `drivers.api.DriverError` if the kernel or nftables refuses
    the redirection.
    """
    table = _table(address, public, bound)
    try:
        libnftables.run(f"create table ip {TABLE}\n{table}")
    except libnftables.Refused as error:
        if not error.taken:
            raise
        # Delete the table only if `create table` failed because the table exists. Deleting a table is slow: when the
        # nftables socket is closed after a deletion, the kernel first waits milliseconds for all readers of the table.
        libnftables.run(f"delete table ip {TABLE}\n{table}")


def _table(address: IPv4Address, public: int, bound: int) -> str:
    asks = [f"ip daddr {address} {p} dport {public} {p} dport set {bound}" for p in PROTOCOLS]
    answers = [f"ip saddr {address} {p} sport {bound} {p} sport set {public}" for p in PROTOCOLS]
    return f"table ip {TABLE} {{\n{_chain('asks', -400, asks)}{_chain('answers', 400, answers)}}}\n"


def _chain(name: str, priority: int, rules: list[str]) -> str:
    body = "\n".join(rules)
    return f"chain {name} {{\ntype filter hook output priority {priority}\noif != lo return\n{body}\n}}\n"
