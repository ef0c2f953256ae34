"""Acts on the host of HAWSE_ROOT as no command does: ``stand_in.py NETWORK COUNT|rows|forget|compact``.

COUNT reserves endpoints as so many containers would; ``rows`` counts the peers in the kernel's tables; ``forget``
empties them behind everybody's back; ``compact`` makes the store drop its
history; ``keys`` prints the hosts' tunnel keys.
"""

import sys

from engine import names
from engine.cluster import encryption, overlay, shared_endpoints, shared_networks, view
from engine.cluster.model import SharedEndpoint
from engine.core import open_engine


def reserve(host, network, count):
    with overlay.connected(host) as (client, me):
        record = shared_networks.find(client, network)[0]
        for number in range(count):
            endpoint = SharedEndpoint(
                id=names.generate_id(), network_id=record.id, container_id=f"x{number}", node=me.node_id,
                mac=names.random_mac(), names=[f"x{number}"], owner=f"1:{start_of(1)}",
            )  # fmt: skip
            print(shared_endpoints.reserve(client, record, endpoint, "", "").ipv4)


def start_of(pid):
    from engine.owner import start_ticks

    return start_ticks(pid)


def spec_of(host, network):
    with host.store.read() as reader:
        record = reader.find_networks(network)[0]
    with overlay.connected(host) as (_, me):
        return encryption.spec(record, me, ())


def rows(host, network):
    lines = host.driver("overlay").verify(spec_of(host, network), [], False)
    print(sum("is at" in line for line in lines))


def forget(host, network):
    host.driver("overlay").program_peers(spec_of(host, network), [])


def compact(host, _network):
    with overlay.connected(host) as (client, _):
        client.call("/v3/kv/compaction", {"revision": client.range("/hawse/")[1]})


def keys(host, _network):
    with overlay.connected(host) as (client, _):
        print(*(n.wireguard_key for n in view.load(client).nodes.values()))


if __name__ == "__main__":
    engine_host, chosen, action = open_engine().host, sys.argv[1], sys.argv[2]
    if action.isdigit():
        reserve(engine_host, chosen, int(action))
    else:
        {"rows": rows, "forget": forget, "compact": compact, "keys": keys}[action](engine_host, chosen)
