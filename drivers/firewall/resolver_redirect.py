"""Inside a sandbox: leads the resolver's port 53 to the port it is bound to, so that 53 stays free for the container.

A container may run a name server of its own on the wildcard address, which the kernel refuses while anything is bound
to port 53 of any address. So the resolver is bound elsewhere and packets are renumbered on their way, without
connection tracking of their own: questions before the container's own rules see them, answers after. Two short chains
a sandbox, whatever the number of queries.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from drivers.linux import libnftables

TABLE = "hawse_resolver"
PROTOCOLS = ("udp", "tcp")


def redirect(address: IPv4Address, public: int, bound: int) -> None:
    """Lead ``address``:``public`` to port ``bound`` in the calling thread's namespace; replaces what was led before.

    Raises `drivers.api.DriverError` where the kernel or nftables cannot.
    """
    table = _table(address, public, bound)
    try:
        libnftables.run(f"create table ip {TABLE}\n{table}")
    except libnftables.Refused as error:
        if not error.taken:
            raise
        # Only where there is one to replace: who has deleted anything waits milliseconds for all of the kernel's
        # readers when it lets go of nftables.
        libnftables.run(f"delete table ip {TABLE}\n{table}")


def _table(address: IPv4Address, public: int, bound: int) -> str:
    asks = [f"ip daddr {address} {p} dport {public} {p} dport set {bound}" for p in PROTOCOLS]
    answers = [f"ip saddr {address} {p} sport {bound} {p} sport set {public}" for p in PROTOCOLS]
    return f"table ip {TABLE} {{\n{_chain('asks', -400, asks)}{_chain('answers', 400, answers)}}}\n"


def _chain(name: str, priority: int, rules: list[str]) -> str:
    body = "\n".join(rules)
    return f"chain {name} {{\ntype filter hook output priority {priority}\noif != lo return\n{body}\n}}\n"
