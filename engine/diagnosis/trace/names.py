"""Resolve a name to an address as the source does: by /etc/hosts, by the resolver at 127.0.0.11, by its upstreams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from drivers.errors import DriverError
from drivers.firewall import resolver_redirect
from drivers.linux import obstacles
from drivers.linux.host import interface_addresses
from drivers.model import Difference, IPAddress
from drivers.registry import facts
from engine.agent import client
from engine.cluster.hooks import current_view, is_gateway
from engine.containers import etc_files
from engine.diagnosis.trace import dns_query, rules
from engine.diagnosis.trace.direct_access import has_icc
from engine.diagnosis.trace.dns_query import Reply
from engine.diagnosis.trace.model import Culprit, CulpritFound, Log
from engine.diagnosis.trace.records import OUTSIDE, Place, Records, addresses
from engine.diagnosis.trace.source import connection, require_running
from engine.dns import wire
from engine.dns.sandbox_view import has_names
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import EngineError
from engine.host import Host
from engine.model import ContainerRecord, NetworkRecord
from engine.resolv_conf import INTERNAL_RESOLVER as ADDRESS
from engine.resolv_conf import parse_resolv_conf, read_host_file, read_host_files

LARGEST_BYTES = 1 << 20  # a larger file in a container's /etc is not read
STATUS_SECONDS = 1.0
SOURCES = {"host": "ip -brief address shows those of this host", OUTSIDE: "that of the machine, such as 192.0.2.1:80"}
"""The words that are valid as the source of a trace, but not as its target.

Each value tells the user where to find an address to use as the target instead.
"""
LOCAL = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


class Names:
    """The resolution of names for one source, as the source itself resolves them. With ``dry``, no query is sent."""

    def __init__(self, host: Host, records: Records, source: Place, log: Log, *, dry: bool) -> None:
        self._host, self._records, self._source, self._log, self._dry = host, records, source, log, dry
        self._where = str(source)
        self._members = records.members(source.record) if source.record is not None else []

    def resolve(self, name: str) -> list[IPAddress]:
        """Return the addresses to which the source resolves a name, in order of preference.

        Raises `CulpritFound` if there is no address.
        """
        name = name.rstrip(".") or name
        if name.lower() in LOCAL:
            return [ip_address("127.0.0.1"), ip_address("::1")]
        if self._source.record is None or not self._source.netns_path:
            return self._from_host(name)
        recorded = self._recorded(name)
        listed = self._in_hosts_file(name)
        if recorded:
            return self._listed(name, recorded, listed) if listed else self._confirmed(name, recorded)
        if listed:
            self._log.add(f"name {name}", self._where, f"{_shown(listed)} by /etc/hosts")
            return listed
        self._explain_other(name)
        return self._asked(name)

    def _recorded(self, name: str) -> list[IPAddress]:
        """Return the addresses that the records have for a name; empty if they have none.

        The name is searched among the endpoints on the source's networks, and then among the source's legacy links
        (``--link``).
        """
        recorded: list[IPAddress] = []
        for member in self._members:
            if has_names(member.network):
                for endpoint in self._records.endpoints:
                    if endpoint.network_id == member.network.id and name.lower() in self._names(endpoint.names, member):
                        recorded += addresses(endpoint)
        return list(dict.fromkeys(recorded)) or self._linked(name)

    def _linked(self, name: str) -> list[IPAddress]:
        record = self._source.record
        assert record is not None
        for attachment in record.attachments:
            for text in attachment.settings.links or ():
                target, _, alias = text.rpartition(":")
                if alias.rpartition("/")[2].lower() == name.lower():
                    return self._recorded(target.strip("/") or alias) if target else []
        return []

    @staticmethod
    def _names(names: Sequence[str], member: JoinedEndpoint) -> set[str]:
        plain = {name.lower() for name in names}
        return plain | {f"{name}.{member.network.name}".lower() for name in plain}

    def _in_hosts_file(self, name: str) -> list[IPAddress]:
        record = self._source.record
        if record is None or record.kind == "adopted":
            return []
        return _hosts_entries(self._read("/etc/hosts"), name)

    def _read(self, path: str) -> str:
        """Return the content of the file that the source container has at ``path``, such as /etc/hosts.

        Returns "" for a file that cannot be read or is too large.
        """
        assert self._source.record is not None
        try:
            file = Path(etc_files.shown_paths(self._host, self._source.record)[path])
            if file.is_symlink() or not file.is_file() or file.stat().st_size > LARGEST_BYTES:
                return ""
            return file.read_text(encoding="utf-8", errors="replace")
        except (OSError, KeyError, EngineError):
            return ""

    def _listed(self, name: str, recorded: list[IPAddress], listed: list[IPAddress]) -> list[IPAddress]:
        """Return the addresses that both the records and the source's /etc/hosts have for ``name``.

        The source uses only the addresses in /etc/hosts (``listed``). Raises `CulpritFound` if the records have none of
        them.
        """
        used = [a for a in recorded if a in listed]
        if not used:
            detail = f"/etc/hosts of {self._source.name} says {name} is {_shown(listed)}; it is {_shown(recorded)}"
            fix = f"remove or correct the line for {name} in /etc/hosts of the container (--add-host)"
            raise CulpritFound(Culprit("name-stale", f"name {name}", self._where, detail, fix))
        self._log.add(f"name {name}", self._where, _shown(used))
        return used

    def _confirmed(self, name: str, recorded: list[IPAddress]) -> list[IPAddress]:
        """Return those of the ``recorded`` addresses that the source's DNS resolver gives for ``name``.

        Raises `CulpritFound` if the resolver does not answer, if it gives no recorded address, or if it also gives an
        address that no endpoint has. In two cases no query is sent, and all ``recorded`` addresses are returned:

        - The trace is a dry run. `CulpritFound` is still raised if the source does not ask the resolver at 127.0.0.11,
          or if this resolver could not answer.
        - All recorded addresses belong to endpoints on hosts without a lease in the cluster.
        """
        if self._dry:
            self._require_resolver(name)
        if self._dry or set(recorded) <= self._records.expired_addresses:
            self._log.add(f"name {name}", self._where, _shown(recorded))
            return recorded
        server = self._server()
        reply = self._ask(server, name)
        if reply.code == -1:
            raise CulpritFound(self._silent(server))
        unheld = [a for a in reply.addresses if a not in recorded and not self._records.at(a)]
        if unheld or not set(reply.addresses) & set(recorded):
            said = _shown(reply.addresses) or "no such name"
            detail = f"the resolver at {server} says for {name}: {said}; the records say {_shown(recorded)}"
            fix = f"restart the container, so that its /etc/resolv.conf names {ADDRESS}"
            if server == ADDRESS:
                fix = "end the agent of hawse (its guard starts a new one, which reads the records)"
            raise CulpritFound(Culprit("name-stale", f"name {name}", self._where, detail, fix))
        self._log.add(f"name {name}", self._where, f"{_shown(reply.addresses)} by {server}", seen=True)
        return [a for a in recorded if a in reply.addresses]

    def _server(self) -> str:
        if self._source.record is not None and self._source.record.kind != "adopted":
            servers = parse_resolv_conf(self._read("/etc/resolv.conf")).servers
            if servers:
                return servers[0]
        return ADDRESS

    def _ask(self, server: str, name: str, timeout: float = dns_query.TIMEOUT_SECONDS) -> Reply:
        return self._source.inside(lambda: dns_query.ask(server, name, timeout=timeout))

    def _require_resolver(self, name: str) -> None:
        """Check that the source asks the resolver at 127.0.0.11, and that this resolver can answer; sends no query.

        Raises `CulpritFound` if a check fails.
        """
        server = self._server()
        if server != ADDRESS:
            detail = f"/etc/resolv.conf of {self._source.name} names {server}, which may not know {name}"
            fix = f"restart the container, so that its /etc/resolv.conf names {ADDRESS}"
            raise CulpritFound(Culprit("name-unknown", f"name {name}", self._where, detail, fix), reachable=None)
        try:
            fault = self._resolver_fault()
        except DriverError:
            return
        if fault is not None:
            raise CulpritFound(fault)

    def _silent(self, server: str) -> Culprit:
        """Return the culprit for the source's resolver ``server``, which does not answer."""
        if server != ADDRESS:
            fix = f"let /etc/resolv.conf of {self._source.name} name a server that answers"
            return Culprit("resolver-down", f"resolver {server}", self._where, f"{server} does not answer", fix)
        return self._resolver_fault() or self._without_answer([])

    def _resolver_fault(self) -> Culprit | None:
        """Return the culprit if the resolver at 127.0.0.11 cannot answer, or None; sends no query to the resolver."""
        down = self._source.inside(lambda: obstacles.is_down("lo"))
        if down:
            fix = f"bring it up: {self._source.command('ip link set lo up')}"
            detail = f"lo of {self._source.name} is down, so the resolver at {ADDRESS} cannot be reached"
            return Culprit("interface-down", f"interface lo of {self._source.name}", self._where, detail, fix)
        if client.ask(self._host.run, "status", STATUS_SECONDS) in (None, "late"):
            detail = f"the agent does not run or hangs; it serves the resolver at {ADDRESS}"
            fix = "run any hawse command that changes something (or hawse system boot): it starts the agent"
            return Culprit("agent-down", "agent of hawse", "host", detail, fix)
        try:
            lost = self._source.inside(_redirection_faults)
        except DriverError:
            return None
        if lost:
            return self._without_answer(lost)
        return rules.dropping_resolver(self._source, IPv4Address(ADDRESS))

    def _without_answer(self, lost: Sequence[Difference]) -> Culprit:
        detail = f"the agent runs, but nothing answers at {ADDRESS} in {self._source.name}"
        detail += "".join(
            f"; {difference.kind}: {difference.place}: {difference.what} (ip {resolver_redirect.TABLE})"
            for difference in lost
        )
        network = self._members[0].network.name if self._members else "NETWORK"
        fix = f"repair it: hawse network verify --fix {network}"
        return Culprit("resolver-down", f"resolver {ADDRESS} of {self._source.name}", self._where, detail, fix)

    def _explain_other(self, name: str) -> None:
        """Check whether the records show why the source cannot resolve ``name``; raises `CulpritFound` if they do.

        A container with this name may be stopped, have no network in common with the source, or be only on the default
        bridge.
        """
        for container in self._records.containers.values():
            joined = self._records.members(container)
            names = {container.name, container.id[:12], *(n for m in joined for n in m.endpoint.names)}
            names |= {n for a in container.attachments for n in a.settings.aliases or ()}
            names |= {f"{n}.{m.network.name}" for m in joined for n in m.endpoint.names}
            if name.lower() not in {known.lower() for known in names}:
                continue
            require_running(container)
            ours, theirs = networks_of(self._members), networks_of(joined)
            if not {n.id for n in ours} & {n.id for n in theirs}:
                raise CulpritFound(not_same_network(self._source.name, container.name, ours, theirs))
            detail = f"{name} is a container on the same network, but the default bridge has no names"
            fix = "use its address, or connect both to a network of your own: hawse network create"
            raise CulpritFound(Culprit("name-unknown", f"name {name}", self._where, detail, fix))
        for target, network in self._on_other_hosts(name):
            raise CulpritFound(not_same_network(self._source.name, target, networks_of(self._members), [network]))
        self._require_target(name)

    def _require_target(self, name: str) -> None:
        """Check whether ``name`` is ``host`` or ``outside``, which can only be sources; raises `CulpritFound` if so."""
        if name in SOURCES:
            detail = f"{name} is no container; as a word of hawse trace, {name} is only a SOURCE"
            fix = f"use an address as the target: {SOURCES[name]}"
            raise CulpritFound(Culprit("name-unknown", f"name {name}", self._where, detail, fix))

    def _own_addresses(self) -> list[IPAddress]:
        """Return the host's addresses at which the source reaches a process in the host's namespace.

        - If the source is a machine outside this host: the addresses of the host's external interface, without
          link-local addresses. If there are none, the result is 127.0.0.1.
        - For any other source: the loopback addresses 127.0.0.1 and ::1.
        """
        if self._source.kind != OUTSIDE:
            return [ip_address("127.0.0.1"), ip_address("::1")]
        held = [address for name, address in interface_addresses() if name == self._source.interface]
        return [a for a in held if not a.is_link_local] or [ip_address("127.0.0.1")]

    def _on_other_hosts(self, name: str) -> Iterator[tuple[str, NetworkRecord]]:
        """Yield the containers on other hosts that have the name ``name``.

        Each item has two values: a text that names the container and its host, and the record of the overlay network.
        """
        view, membership = current_view(self._host) if self._host.is_clustered else (None, None)
        if view is None or membership is None:
            return
        for network in view.networks.values():
            for endpoint in view.endpoints_on_other_hosts(network.id, membership.node_id):
                if name.lower() in {known.lower() for known in endpoint.names}:
                    node = view.nodes.get(endpoint.node)
                    yield f"{name} (on host {node.hostname if node is not None else endpoint.node})", network

    def _asked(self, name: str) -> list[IPAddress]:
        """Query the source's resolver for a name that no record has; return the addresses of the name.

        Only an upstream server can know such a name. Raises `CulpritFound` if the name has no address. In a dry run,
        sends no query and always raises `CulpritFound`.
        """
        fix = "check the spelling: hawse ps lists the names; containers on one network see each other's names"
        unknown = Culprit("name-unknown", f"name {name}", self._where, f"no container and no server knows {name}", fix)
        if self._dry:
            raise CulpritFound(unknown, reachable=False if "." not in name.rstrip(".") else None)
        server = self._server()
        reply = self._ask(server, name)
        if reply.addresses:
            self._log.add(f"name {name}", self._where, f"{_shown(reply.addresses)} by {server}", seen=True)
            return list(reply.addresses)
        served = any(has_names(m.network) for m in self._members) and server == ADDRESS
        own_name = next(iter(self._members[0].endpoint.names), "") if self._members else ""
        if served and own_name and reply.code in (-1, wire.SERVFAIL) and self._ask(server, own_name, 0.7).code == -1:
            raise CulpritFound(self._silent(server))
        if reply.code in (wire.NXDOMAIN, wire.NOERROR) or ("." not in name.rstrip(".") and served):
            raise CulpritFound(unknown)
        raise CulpritFound(self._upstream_down(name, server))

    def _upstream_down(self, name: str, server: str) -> Culprit:
        record = self._source.record
        upstreams = [server]
        if server == ADDRESS:
            upstreams = list(record.host.dns or ()) if record is not None else []
            upstreams = upstreams or read_host_files().servers
        listed = ", ".join(upstreams) or "none"
        detail = f"{name} must be asked of the upstream DNS servers ({listed}), and none gives an answer"
        fix = "check the servers in /etc/resolv.conf of the host (or --dns of the container), and the way to them"
        return Culprit("upstream-dns-down", f"DNS servers {listed}", self._where, detail, fix)

    def of_container(self, container: ContainerRecord) -> list[IPAddress]:
        """Return a container's addresses; raises `CulpritFound` if the container does not run or has no address."""
        require_running(container)
        members = self._records.members(container)
        held = [a for m in members for a in addresses(m.endpoint)]
        if held:
            self._log.add(f"container {container.name}", "host", _shown(held))
            return held
        if container.host.network_mode == "host":
            return self._own_addresses()
        raise CulpritFound(_without_address(container, networks_of(members)))

    def _from_host(self, name: str) -> list[IPAddress]:
        """Return a name's addresses as the host resolves it; raises `CulpritFound` if no address can be found.

        The source is no container, or a container in the host's namespace. The name is searched in this order:
        containers, aliases of endpoints, /etc/hosts, the host's DNS servers. The search ignores case, but prefers a
        container with exactly this name.
        """
        for container in sorted(self._records.containers.values(), key=lambda c: c.name != name):
            if name.lower() in (container.name.lower(), container.id, container.id[:12]):
                return self.of_container(container)
        aliased = [e for e in self._records.endpoints if name.lower() in {n.lower() for n in e.names}]
        if aliased:
            return [a for e in aliased for a in addresses(e)]
        listed = _hosts_entries(read_host_file(etc_files.HOST_HOSTS), name)
        if listed:
            return listed
        self._require_target(name)
        for server in read_host_files().servers if not self._dry else ():
            reply = dns_query.ask(server, name)
            if reply.addresses:
                self._log.add(f"name {name}", "host", f"{_shown(reply.addresses)} by {server}", seen=True)
                return list(reply.addresses)
            if reply.code in (wire.NXDOMAIN, wire.NOERROR):
                break
        for target, network in self._on_other_hosts(name):
            detail = f"{target} is on {network.name}, on which the host itself has no address"
            fix = f"ask from a container on {network.name}, or publish the port on that host, and use its address"
            what, where = f"container {target}", f"network {network.name}"
            raise CulpritFound(Culprit("not-same-network", what, where, detail, fix))
        detail = f"{name} is no container, and the host's resolver does not know it"
        fix = "check the spelling: hawse ps lists the names"
        raise CulpritFound(Culprit("name-unknown", f"name {name}", "host", detail, fix))


def networks_of(members: Sequence[JoinedEndpoint]) -> list[NetworkRecord]:
    """Return the networks of endpoints, without the gateway bridge, which does not connect containers to each other."""
    return [m.network for m in members if not is_gateway(m.network)]


def _without_address(container: ContainerRecord, networks: Sequence[NetworkRecord]) -> Culprit:
    there = ", ".join(sorted(n.name for n in networks)) or "no network"
    detail = f"{container.name} is on {there}, where it has no address"
    fix = f"connect it to a network with addresses: {connection('NETWORK', container.name, networks)}"
    return Culprit("not-same-network", f"container {container.name}", f"network {there}", detail, fix)


def not_same_network(
    source: str, target: str, of_source: Sequence[NetworkRecord], of_target: Sequence[NetworkRecord]
) -> Culprit:
    """Return the culprit for two containers without a common network.

    ``source`` and ``target`` name the containers. ``of_source`` and ``of_target`` are the networks of each container.
    """
    here, there = (", ".join(sorted(n.name for n in ns)) or "no network" for ns in (of_source, of_target))
    ends = ((source, of_source), (target, of_target))
    fix = "use an address of the host, at which it listens"
    if not any(n.driver == "host" for n in of_target):
        fix = f"connect both to one network: {_connecting(*ends)}"
    detail = f"{source} is on {here}; {target} is on {there}"
    return Culprit("not-same-network", f"container {target}", f"network {there}", detail, fix)


def _connecting(source: tuple[str, Sequence[NetworkRecord]], target: tuple[str, Sequence[NetworkRecord]]) -> str:
    """Return the commands that connect two containers to one network.

    ``source`` and ``target`` are the names of the containers, each with its networks. If one container is on a network
    whose containers reach each other, the commands connect the other container to this network. Otherwise, the first
    command creates a network.
    """
    for (_, there), (name, joined) in ((target, source), (source, target)):
        for network in there:
            if not facts(network.driver).singleton and has_icc(network):
                return connection(network.name, name, joined)
    commands = (connection("NETWORK", name, joined) for name, joined in (source, target))
    return " && ".join(["hawse network create NETWORK", *commands])


def _redirection_faults() -> Sequence[Difference]:
    """Check that the rules redirect DNS queries for 127.0.0.11 to the resolver's port; return the differences.

    Examines the network namespace of the calling thread.
    """
    address = IPv4Address(ADDRESS)
    return resolver_redirect.compare(address, resolver_redirect.serving_port(address))


def _hosts_entries(text: str, name: str) -> list[IPAddress]:
    listed = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if name.lower() in [word.lower() for word in words[1:]]:
            try:
                listed.append(ip_address(words[0]))
            except ValueError:
                continue
    return listed


def _shown(values: Sequence[IPAddress]) -> str:
    return ", ".join(map(str, values))
