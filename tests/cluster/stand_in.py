"""Change or print a host's state in ways that no hawse command offers: ``stand_in.py NETWORK COUNT [shown]|forget|…``.

The environment variable HAWSE_ROOT selects the host.

- COUNT, a number, reserves that many endpoints as containers would, and prints their addresses (``shown``: with MAC
  and name).
- ``forget`` removes the entries for other hosts' endpoints from the kernel's FDB and neighbour tables without
  notifying the agent.
- ``compact`` makes etcd drop its history of old values.
- ``keys`` prints the hosts' public tunnel keys.
- ``residue`` prints the etcd keys for endpoints and addresses, except those on the ingress network.
- ``members`` prints ``votes`` or ``learner`` for each etcd member.
- ``raise_up`` activates a network on this host and creates no endpoint. A command that is killed can leave this state.
- ``begin`` creates the network's kernel objects without recording them. A command that is killed can leave this state.
"""

import sys

from engine import names
from engine.cluster import encryption, hooks, node_operations, shared_networks, snapshot
from engine.cluster import keys as cluster_keys
from engine.cluster import membership as memberships
from engine.cluster.model import SharedEndpoint
from engine.core import open_engine
from engine.host import network_spec
from engine.networks import activate
from engine.store.codec import decode, encode
from engine.swarm import etcd_member


def reserve(host, network, count, shown):
    with memberships.connected(host) as (client, membership):
        record = shared_networks.find(client, network)[0]
        for number in range(count):
            name = f"x{number}-{membership.index}"
            endpoint = SharedEndpoint(
                id=names.generate_id(), network_id=record.id, container_id=name, node=membership.node_id,
                mac=names.random_mac(), names=[name], owner=f"1:{start_of(1)}",
            )  # fmt: skip
            made = node_operations.perform(client, membership, "reserve", endpoint=encode(endpoint))
            address = decode(SharedEndpoint, made["endpoint"]).ipv4
            print(f"{address.partition('/')[0]}={endpoint.mac}={name}" if shown else address)


def start_of(pid):
    from drivers.linux.process import start_time

    return start_time(pid)


def spec_of(host, network):
    with host.store.read() as reader:
        record = reader.find_networks(network)[0]
    with memberships.connected(host) as (_, membership):
        return encryption.spec(record, membership, ())


def forget(host, network):
    host.driver("overlay").program_peers(spec_of(host, network), [])


def compact(host, _network):
    with memberships.connected(host) as (client, _):
        client.call("/v3/kv/compaction", {"revision": client.range("/hawse/")[1]})


def keys(host, _network):
    with memberships.connected(host) as (client, _):
        print(*(n.wireguard_key for n in snapshot.load(client).nodes.values()))


def members(host, _network):
    with memberships.connected(host) as (client, _):
        print(*("learner" if m.get("isLearner") else "votes" for m in etcd_member.members(client)))


def residue(host, _network):
    prefixes = (cluster_keys.ENDPOINTS, cluster_keys.ADDRESSES, cluster_keys.MACS, cluster_keys.BALANCERS)
    with memberships.connected(host) as (client, _):
        ingress = {n.id for n in shared_networks.all_networks(client) if n.ingress}
        for prefix in prefixes:
            stored = (kv.key for kv in client.range(prefix)[0])
            print(*(key for key in stored if key.removeprefix(prefix).partition("/")[0] not in ingress), sep="\n")


def learned(host, network):
    hooks.import_network(host, network)
    with host.store.read() as reader:
        return reader.find_networks(network)[0]


def begin(host, network):
    record = learned(host, network)
    host.driver(record.driver).create_network(network_spec(record))


def raise_up(host, network):
    activate.activate(host, learned(host, network).id)


if __name__ == "__main__":
    engine_host, chosen, action = open_engine().host, sys.argv[1], sys.argv[2]
    if action.isdigit():
        reserve(engine_host, chosen, int(action), "shown" in sys.argv)
    else:
        actions = (forget, compact, keys, residue, members, begin, raise_up)
        next(a for a in actions if a.__name__ == action)(engine_host, chosen)
