"""A host with many types of bridge networks and of senders. Each probe tests with packets whether one firewall rule of
this host works.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address

from drivers.firewall import proxy_redirect, table
from drivers.firewall.elements import Element, name
from drivers.linux import netns as namespaces
from tests import packets
from tests.packets import ANNOUNCE, EVERYBODY, SOLICIT, VXLAN_PORT, icmp, icmp_error, send, udp, vxlan

HOST, HOST6, PEER, PEER6 = "192.168.99.11", "fd99::11", "192.168.99.99", "fd99::99"
AGENT = 40000
SILENCE = 0.3  # seconds to wait for an answer that must not come
MODE = "com.docker.network.bridge.gateway_mode_ipv4"
FILTERED = "/proc/sys/net/bridge/bridge-nf-call-iptables"
PROTECTION6 = "com.docker.network.bridge.gateway_mode_ipv6"
FRIEND, FRIEND6, NEXT_TO = "172.30.0.3", "fd00:30::3", "10.78.0.2"
"""Addresses of the container "friend": its IPv4 and IPv6 address on its network, and an address in another subnet on
the same bridge.
"""
BEHIND, BY_MARK, MARKED = "10.77.0.1", "198.51.100.6", "198.51.100.5"
"""Addresses behind the container "friend". The host has a normal route to the first address only."""
ELSEWHERE = "172.31.9.9"
"""An address in a network's subnet to which the host routes by another interface than the network's bridge."""
ASYMMETRIC = "172.31.7.7"
"""An address of the container "other", to which the container "web" may send by a link of its own to the host."""
MARK, VNI = 7, 4097
PLAIN = 5050  # UDP port used on the host and on the container "friend"
DHCP = 67  # UDP port of a DHCP server


Place = tuple[str, int]


class Talk:
    """A UDP connection between two sockets. Each socket keeps all packets that it receives."""

    def __init__(self, near: socket.socket, far: socket.socket, near_place: Place, far_place: Place) -> None:
        """Keep both sockets and the address of each end.

        ``near_place`` is the near end's address as the far end sees it, and ``far_place`` is the far end's own address.
        """
        self.near, self.far, self.near_place, self.far_place = near, far, near_place, far_place

    def begin(self, *, from_far: bool) -> None:
        """Send a first datagram, so that conntrack tracks the flow. Discard the packets that arrived before this
        datagram.
        """
        for sock in (self.near, self.far):
            heard(sock, 0)
            heard(sock, 0)
        (self.far if from_far else self.near).send(b"hello")
        receiver = self.near if from_far else self.far
        receiver.settimeout(5)
        _, seen = receiver.recvfrom(100)
        receiver.connect(seen[:2])


def udp_socket(path: str, place: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET if ip_address(place[0]).version == 4 else socket.AF_INET6
    made = namespaces.run_in_netns(path, lambda: socket.socket(family, socket.SOCK_DGRAM))
    made.bind(place)
    return made


def heard(sock: socket.socket, wait: float) -> bytes:
    """Return what a socket receives: a datagram, b"error" for an ICMP error, or b"" if nothing arrives."""
    sock.settimeout(wait)
    try:
        return sock.recv(2000)
    except (TimeoutError, BlockingIOError):
        return b""
    except OSError:
        return b"error"


def hears_any(sock: socket.socket, is_expected: Callable[[bytes], bool]) -> bool:
    """Return whether a socket receives an expected packet within `SILENCE` seconds. Other packets are ignored."""
    deadline = time.monotonic() + SILENCE
    while (left := deadline - time.monotonic()) > 0:
        if is_expected(heard(sock, left)):
            return True
    return False


class World:
    """A host with many types of bridge networks, and two neighbours that route packets to all of them.

    ::

      peer 192.168.99.99, fd99::99              far 10.9.0.2
              |                                      |
              | ext0: 192.168.99.11, .77             | side: 10.9.0.1
              |       fd99::11, ::77                 |
      +-------+--------------------------------------+----------------------------------------------+
      | host: agent on port 40000; routes 10.77.0.1 to friend                                       |
      |                                                                                             |
      | n1 172.30/16     n2 172.31/16   inside 172.32/16  sourced 172.33/16   apart 172.34/16       |
      | fd00:30::/64                    (internal)        (host_ipv4 .77)     (enable_icc=false)    |
      |  web .2           other .2       inside .2         sourced .2          linking .2           |
      |  friend .3                                                             linked .3            |
      |   + 10.78.0.2 (other subnet)                                                                |
      |   + 10.77.0.1, 198.51.100.5, .6 (behind friend)                                             |
      |                                                                                             |
      | routed 172.35/16 (gateway mode routed): routed .2                                           |
      | bare 172.36/16, fd00:36::/64 (gateway mode nat-unprotected): bare .2                        |
      +---------------------------------------------------------------------------------------------+
    """

    def __init__(self, lab, peer) -> None:
        self.lab, self.peer, self.host = lab, peer, lab.host
        lab.host.sh("sysctl -qw net.ipv4.ip_forward=1")
        lab.host.sh("ip addr add 192.168.99.77/24 dev ext0; ip addr add fd99::77/64 dev ext0 nodad preferred_lft 0")
        self.plain_networks()
        self.special_networks()
        self.strangers()
        for server in (self.web, self.linked):
            lab.serve(server, 80)
            lab.serve(server, 81, address="::")
        for server, address, port in (
            (self.friend, "0.0.0.0", 80),
            (self.inside, "0.0.0.0", 80),
            (self.bare, "0.0.0.0", 81),
            (self.bare, "fd00:36::2", 81),
            (self.linked, "0.0.0.0", 82),
            (self.web, "0.0.0.0", 7000),
            (self.web, "fd00:30::2", 7000),
            (peer, "0.0.0.0", 80),
            (peer, "fd99::99", 80),
            (lab.host, "::", AGENT),
        ):
            lab.serve(server, port, address=address)
        self.agent = lab.serve(lab.host, AGENT, "udp", address="::")
        lab.on_host(lambda: proxy_redirect.redirect_to({"tcp": AGENT, "udp": AGENT}))
        self.outside, self.enclosed, self.published = (lab.serve(s, 50, "udp") for s in (peer, self.inside, self.web))
        self.outside6 = lab.serve(peer, 50, "udp", address=PEER6)
        assert self.pings(self.peer, HOST), "it knows the host: nobody answers ARP from 127.0.0.0/8"
        self.behind_friend()
        self.talks()
        self.plain, self.dhcp = (lab.serve(lab.host, port, "udp") for port in (PLAIN, DHCP))
        self.hidden, self.hidden6 = (lab.serve(self.friend, PLAIN, "udp", a) for a in (FRIEND, FRIEND6))
        self.shown6 = lab.serve(self.web, PLAIN + 2, "udp", address="::")
        self.tunnel_ends = {a: lab.serve(lab.host, VXLAN_PORT, "udp", address=a) for a in (HOST, HOST6)}
        self.tunnel_ends[PEER] = lab.serve(peer, VXLAN_PORT, "udp")

    def plain_networks(self) -> None:
        lab = self.lab
        n1, n2 = lab.network("n1", "172.30.0.0/16", "fd00:30::/64"), lab.network("n2", "172.31.0.0/16")
        ports = [lab.binding(8080, 80), lab.binding(8080, 81, host_ip="::"), lab.binding(8082, 50, "udp", "127.0.0.1")]
        ports += [lab.binding(8084, 80, host_ip="::1"), lab.binding(8084, 50, "udp", "::1")]
        ports += [lab.binding(8081, 80, host_ip=HOST), lab.binding(8081, 81, host_ip=HOST6)]
        ports += [lab.binding(8087, PLAIN + 2, "udp", host_ip="::")]
        ports += [lab.binding(8086, 51, "udp", host_ip=ip) for ip in ("0.0.0.0", "::")]
        ports += [lab.binding(7000, 7000, host_ip=ip, host_port_end=7009, port_end=7009) for ip in ("0.0.0.0", "::")]
        self.web, self.friend = lab.container(n1, 2, ports), lab.container(n1, 3)
        self.other = lab.container(n2, 2, [lab.binding(8085, 80, host_ip="::")])

    def special_networks(self) -> None:
        lab = self.lab
        inside = lab.network("inside", "172.32.0.0/16", internal=True)
        self.inside = lab.container(inside, 2)
        self.inside.run("ip", "route", "add", "default", "via", "172.32.0.1")
        source = {"com.docker.network.host_ipv4": "192.168.99.77", "com.docker.network.host_ipv6": "fd99::77"}
        self.sourced = lab.container(lab.network("sourced", "172.33.0.0/16", "fd00:33::/64", options=source), 2)
        no_icc = {"com.docker.network.bridge.enable_icc": "false"}
        apart = lab.network("apart", "172.34.0.0/16", "fd00:34::/64", options=no_icc)
        self.linking = lab.container(apart, 2)
        self.linked = lab.container(
            apart, 3, [lab.binding(8083, 82), lab.binding(8088, 53, "udp")], exposed=(("tcp", 80, 81),)
        )
        for container, address in ((self.linking, "fd00:34::3"), (self.linked, "fd00:34::2")):
            container.run("ip", "route", "add", f"{address}/128", "via", "fd00:34::1")
        lab.on_host(lambda: lab.driver.link(apart, self.linking.endpoint, self.linked.endpoint))
        self.routed = lab.container(lab.network("routed", "172.35.0.0/16", options={MODE: "routed"}), 2)
        unprotected = {MODE: "nat-unprotected", PROTECTION6: "nat-unprotected"}
        self.bare = lab.container(lab.network("bare", "172.36.0.0/16", "fd00:36::/64", options=unprotected), 2)

    def behind_friend(self) -> None:
        """Set up addresses behind the container "friend", a second subnet on its bridge, and routes for marked packets.

        Also add firewall elements that the driver does not add for these networks, to the sets trusted, bound,
        siblings and tunnels.
        """
        n1, n2, _, sourced, _, _, bare = (f"br-{network.id[:12]}" for network in self.lab.networks)
        self.friend.run("sh", "-ec", f"for a in {BEHIND} {BY_MARK} {MARKED}; do ip addr add $a/32 dev lo; done")
        self.friend.run("ip", "addr", "add", f"{NEXT_TO}/24", "dev", "eth0")
        self.host.sh(f"ip addr add 10.78.0.1/24 dev {n1}; ip -6 addr flush dev {sourced} scope link")
        self.host.sh(
            "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.ext0.route_localnet=1; "
            f"ip route add {BEHIND}/32 via {FRIEND}; "
            f"ip route add default via {FRIEND} table {MARK}; "
            "nft 'add table ip marking; add chain ip marking pre { type filter hook prerouting priority mangle; }; "
            f"add rule ip marking pre ip saddr {MARKED} meta mark set {MARK}; "
            f"add rule ip marking pre iifname ext0 udp dport {PLAIN} ip daddr 172.30.0.0/16 meta mark set {MARK + 1}'"
        )
        self.lab.serve(self.friend, 50, "udp", address=BY_MARK)
        extra = [Element("trusted", f"{name(i)} . {name(n1)}") for i in ("ext0", n2)]
        extra += [
            Element("bound4", f"{FRIEND} . udp . {PLAIN + 1}"),
            Element("bound6", f"{FRIEND6} . udp . {PLAIN + 1}"),
        ]
        extra += [Element("siblings4", f"{FRIEND} . {name(n2)}"), Element("siblings6", f"fd00:33::2 . {name(n1)}")]
        extra += [
            Element("siblings4", f"172.30.0.2 . {name(bare)}"),
            Element("siblings6", f"fd00:30::2 . {name(bare)}"),
        ]
        extra += [Element("tunnels", f"{VXLAN_PORT} . {VNI}")]
        self.lab.on_host(lambda: table.change(add=extra))
        self.bound, self.bound6 = (self.lab.serve(self.friend, PLAIN + 1, "udp", a) for a in (FRIEND, FRIEND6))

    def talks(self) -> None:
        self.out4 = self.outgoing(self.friend, (FRIEND, 5001))
        self.out6 = self.outgoing(self.friend, (FRIEND6, 5001))
        self.in4 = self.incoming(("172.30.0.2", 51), (HOST, 8086), (PEER, 5002))
        self.in6 = self.incoming(("fd00:30::2", 51), (HOST6, 8086), (PEER6, 5002))
        self.of_host = self.outgoing(self.host, (HOST, 5003))
        self.to_behind = self.incoming((BEHIND, 5004), (HOST, 9998), (PEER, 5004), self.friend)
        self.to_apart = self.incoming(("172.34.0.3", 53), (HOST, 8088), (PEER, 5006), self.linked)
        self.apart = self.outgoing(self.linked, ("172.34.0.3", 5005))

    def outgoing(self, where, source: Place) -> Talk:
        """Return a UDP connection from ``where`` to the peer (another machine). A connection from a container is
        masqueraded.
        """
        host, peer = (HOST, PEER) if ip_address(source[0]).version == 4 else (HOST6, PEER6)
        near, far = udp_socket(where.path, source), udp_socket(self.peer.path, (peer, source[1]))
        near.connect((peer, source[1]))
        return Talk(near, far, (host, source[1]), (peer, source[1]))

    def incoming(self, inner: Place, published: Place, client: Place, server=None) -> Talk:
        """Return a UDP connection from the peer (another machine) to a published port.

        By default, the port is one that the container "web" publishes.
        """
        near, far = udp_socket((server or self.web).path, inner), udp_socket(self.peer.path, client)
        far.connect(published)
        return Talk(near, far, published, client)

    def strangers(self) -> None:
        self.far = self.lab.sandbox()
        self.host.sh(f"ip link add side type veth peer name far netns {self.far.namespace}")
        self.host.sh(f"ip link add own type veth peer name own0 netns {self.web.namespace}")
        self.host.sh("ip addr add 10.200.0.1/24 dev own; ip link set own up")
        self.web.run("sh", "-c", "ip addr add 10.200.0.2/24 dev own0; ip link set own0 up")
        self.other.run("ip", "addr", "add", f"{ASYMMETRIC}/16", "dev", "eth0")
        self.host.sh(f"ip addr add 10.9.0.1/24 dev side; ip link set side up; ip route add {ELSEWHERE} dev ext0")
        self.far.run(
            "sh", "-c", "ip addr add 10.9.0.2/24 dev far; ip link set far up; ip route add default via 10.9.0.1"
        )
        self.peer.sh(f"for n in 10.9.0.0/24 $(seq -f 172.%g.0.0/16 30 36); do ip route add $n via {HOST}; done")
        self.peer.sh(f"ip route add fd00:30::/64 via {HOST6}")
        self.peer.sh(
            "ip route del local 127.0.0.0/8 dev lo table local; ip route del local 127.0.0.1 dev lo table local"
        )
        self.peer.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.br0.route_localnet=1")
        self.peer.sh(f"ip route add 127.0.0.0/8 via {HOST} src {PEER}")
        self.host.sh(
            "nft 'add table ip other; add chain ip other pre { type nat hook prerouting priority -110; };"
            " add rule ip other pre udp dport 9999 dnat to 172.32.0.2:50;"
            f" add rule ip other pre udp dport 9998 dnat to {BEHIND}:5004'"
        )

    def sees(self, client, address: str, port: int, expected: str, protocol: str = "tcp") -> bool:
        return self.lab.ask(client, address, port, protocol, wait=0.8) == expected

    def silent(self, client, address: str, port: int) -> bool:
        return self.lab.silent(client, address, port)

    def pings(self, client, address: str) -> bool:
        return self.lab.pings(client, address, wait=0.8)

    def gets(self, server, client, packet: bytes) -> bool:
        """Send a handmade packet from a client; return whether the server receives the packet."""
        server.heard.clear()
        send(client.path, packet)
        return server.heard.wait(SILENCE)

    def gets_broadcast(self, server, client, source: str, port: int = PLAIN) -> bool:
        """Broadcast a datagram from a client; return whether the server on the host receives the datagram."""
        server.heard.clear()
        packets.broadcast(client.path, client.endpoint.mac, udp(source, 1, "255.255.255.255", port))
        return server.heard.wait(SILENCE)

    def gets_echo_without_source(self, client) -> bool:
        """Send a ping from the address :: of a client; return whether the host receives it."""
        echo = icmp("::", "ff02::1", struct.pack("!BBHI", 128, 0, 0, 0))
        raw = namespaces.run_in_netns(
            self.host.path, lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        )
        with raw:
            packets.broadcast(client.path, client.endpoint.mac, echo)
            return hears_any(raw, lambda packet: packet[:1] == b"\x80")

    def believes(self, sender, host_address: str, other: str) -> bool:
        """Send a packet with the forged source ``other``, as an answer to a packet from the host's address.

        Return whether the host receives the packet. ``host_address`` is the host's address on the sender's bridge, and
        ``other`` is an address on another network.
        """
        with udp_socket(self.host.path, (host_address, 0)) as sock:
            sock.connect((other, 50))
            sock.send(b"?")
            send(sender.path, udp(other, 50, host_address, sock.getsockname()[1]))
            return heard(sock, SILENCE) == b"forged"

    def ends(self, sender, source: str, talk: Talk, *, at: str, quoted: bytes, from_far: bool = False) -> bool:
        """Send an ICMP error about the connection ``talk``; return whether its end ``at`` receives the error.

        ``at`` is "near" or "far".
        ``source`` is an address of the sender's own. ``quoted`` is the packet that the error quotes.
        """
        talk.begin(from_far=from_far)
        destination, victim = (talk.near_place, talk.near) if at == "near" else (talk.far_place, talk.far)
        send(sender.path, icmp_error(source, destination[0], quoted))
        return heard(victim, SILENCE) == b"error"

    def peer_complains(self, at: str) -> bool:
        """Send an ICMP error from the peer about a flow between the host and a container; return whether it arrives.

        The error goes to the host if ``at`` is "near", and to the container if ``at`` is "far".
        """
        near, far = udp_socket(self.host.path, ("172.30.0.1", 5011)), udp_socket(self.friend.path, (FRIEND, 5011))
        with near, far:
            near.connect((FRIEND, 5011))
            talk = Talk(near, far, ("172.30.0.1", 5011), (FRIEND, 5011))
            places = [talk.near_place, talk.far_place]
            target, other = places if at == "near" else places[::-1]
            return self.ends(self.peer, PEER, talk, at=at, quoted=udp(*target, *other))

    def refused(self, client, address: str, port: int) -> bool:
        """Send a datagram to a port; return whether the client gets the ICMP error that the port is closed."""
        version = ip_address(address).version
        with udp_socket(client.path, ("0.0.0.0" if version == 4 else "::", 0)) as sock:
            sock.connect((address, port))
            sock.send(b"?")
            return heard(sock, 1) == b"error"

    def accepts_mark(self) -> bool:
        """Add a firewall mark to the marks that hawse accepts, as the administrator does in daemon.json.

        Return whether a packet with this mark then reaches a port that is not published.
        """
        self.lab.on_host(lambda: table.accept_mark(f"{MARK + 1}"))
        try:
            return self.lab.hears(self.hidden, self.peer, FRIEND, PLAIN)
        finally:
            self.host.sh(f"nft flush chain {table.TABLE} {table.MARKED}")

    def host_hears_by_mark(self) -> bool:
        """Return whether the host gets an answer from the address `BY_MARK`.

        The test's packets carry a firewall mark. The host has a route to `BY_MARK` only for packets with this mark.
        """
        with udp_socket(self.host.path, ("0.0.0.0", 0)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
            sock.connect((BY_MARK, 50))
            sock.send(b"?")
            return heard(sock, 1) == b"172.30.0.1"

    def answers_link_local(self) -> bool:
        """Return whether the host answers an IPv6 neighbour solicitation (a question for the host's MAC) from a
        container.

        The container must get the answer although the host's bridge has no link-local address.
        """
        every_protocol, source = socket.htons(0x0003), "fe80::1234"
        wire = namespaces.run_in_netns(
            self.sourced.path, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, every_protocol)
        )
        mac = self.sourced.endpoint.mac
        message = struct.pack("!BBHI", SOLICIT, 0, 0, 0) + ip_address("fd00:33::1").packed
        message += b"\x01\x01" + bytes.fromhex(mac.replace(":", ""))
        asking = packets.ethernet(EVERYBODY, mac, icmp(source, "ff02::1:ff00:1", message, hops=255))
        with wire:
            wire.bind(("eth0", 0))
            wire.send(asking)
            return hears_any(wire, lambda frame: frame[12:14] == b"\x86\xdd" and frame[54:55] == bytes([ANNOUNCE]))

    def answers_by_its_own_link(self) -> bool:
        """Return whether a client on another network gets an answer that the web server sends by a link of its own."""
        self.web.run("ip", "route", "replace", f"{ASYMMETRIC}/32", "via", "10.200.0.1")
        try:
            return self.lab.ask(self.other, HOST, 8080, wait=0.8, source=ASYMMETRIC) == ASYMMETRIC
        finally:
            self.web.run("ip", "route", "delete", f"{ASYMMETRIC}/32")

    def user_sends(self) -> bool:
        """Return whether a user other than root can send a VXLAN packet from the host."""
        server = self.tunnel_ends[PEER]
        server.heard.clear()
        payload = vxlan(HOST, PEER, VNI, bytes(20))[28:]
        script = (
            f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto({payload!r}, {(PEER, VXLAN_PORT)})"
        )
        command = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-S", "-c", script]
        namespaces.run_in_netns(self.host.path, lambda: subprocess.run(command, check=False, capture_output=True))
        return server.heard.wait(SILENCE)

    def slips_into(self, sender, talk: Talk) -> bool:
        """Send a packet whose forged source is the address of the connection's far end.

        Return whether the near end receives the packet.
        """
        talk.begin(from_far=False)
        send(sender.path, udp(*talk.far_place, *talk.near_place))
        return heard(talk.near, SILENCE) == b"forged"

    def guarded(self, probe: Callable[[], bool]) -> bool:
        """Run a probe (a test with packets) on a host where hawse has enabled forwarding.

        On such a host, a firewall rule blocks forwarding between interfaces that do not belong to hawse.
        """
        guard = [Element("forwarding", "ipv4")]
        self.lab.on_host(lambda: table.change(add=guard))
        try:
            return probe()
        finally:
            self.lab.on_host(lambda: table.change(remove=guard))

    def with_marks(self, probe: Callable[[], bool]) -> bool:
        """Run a probe (a test with packets) while a routing rule selects routes by packet mark.

        While such a rule exists, the kernel itself refuses packets for 127.0.0.0/8.
        """
        self.host.sh(f"ip rule add fwmark {MARK} table {MARK}")
        try:
            return probe()
        finally:
            self.host.sh(f"ip rule del fwmark {MARK} table {MARK}")

    def unfiltered(self, probe: Callable[[], bool]) -> bool:
        """Run a probe (a test with packets) with br_netfilter switched off, so that bridged packets do not pass the
        firewall.
        """
        self.host.sh(f"echo 0 > {FILTERED}")
        try:
            return probe()
        finally:
            self.host.sh(f"echo 1 > {FILTERED}")


def complains(w: World, sender, source: str, talk: Talk, at: str = "far") -> bool:
    """Let a container send an ICMP error about a connection; return whether its end ``at`` receives the error.

    ``at`` is "near" or "far". ``source`` is the container's own address.
    """
    from_far = talk in (w.in4, w.in6, w.to_behind, w.to_apart)
    inner = talk.near.getsockname()[:2]
    quoted = udp(*talk.far_place, *inner) if at == "far" else udp(*talk.near_place, *talk.far_place)
    return w.ends(sender, source, talk, at=at, quoted=quoted, from_far=from_far)


def complains_to_host(w: World) -> bool:
    return complains(w, w.sourced, "172.33.0.2", w.of_host, at="near")


def complains_out_of_nowhere(w: World) -> bool:
    """Let a container send an ICMP error about a flow that the host does not track.

    Return whether the peer (another machine) receives the error.
    """
    with udp_socket(w.peer.path, (PEER, 5009)) as client:
        client.connect((HOST, 5010))
        send(w.friend.path, icmp_error(FRIEND, PEER, udp(PEER, 5009, HOST, 5010)))
        return heard(client, SILENCE) == b"error"
