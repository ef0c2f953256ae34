"""Rotation of this host's WireGuard key. The host publishes its new public key in the etcd store, which all other hosts
watch.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from engine.cluster import keys, node_operations
from engine.cluster import membership as memberships
from engine.cluster.encryption import is_encrypted
from engine.cluster.etcd import Client
from engine.cluster.model import ClusterMembership, Node
from engine.config import number_from_environment
from engine.golang import timestamps
from engine.model import NetworkRecord
from engine.store.codec import decode, encode
from engine.swarm import pki

LIFETIME = 12 * 3600
"""Seconds after which a WireGuard key is replaced, as in Docker; HAWSE_KEY_LIFETIME overrides this time."""


def lifetime() -> int:
    """Return after how many seconds this host's WireGuard key is replaced.

    This is the value of HAWSE_KEY_LIFETIME; without the variable, it is `LIFETIME`.
    """
    return number_from_environment("HAWSE_KEY_LIFETIME", LIFETIME)


def rotated(
    root: Path, client: Client, membership: ClusterMembership, live: Iterable[NetworkRecord]
) -> ClusterMembership:
    """Publish and save a new WireGuard key of this host if one is due; return the current membership record.

    The key is saved in the membership record (in ``root``, HAWSE_ROOT) after its publication. If the publication fails,
    the record stays unchanged. No key is due if no active network (``live``) is encrypted, or if etcd has no record of
    this host. Otherwise, a new key is due in three cases:

    - the published key is `lifetime` seconds old or older
    - the publication time is `lifetime` seconds or more in the future, because the clock was set back
    - the published key differs from the key in ``membership``

    The keys differ if the agent was killed between publishing a key and saving it. They also differ if etcd's answer to
    the publication was lost.
    """
    if not any(map(is_encrypted, live)):
        return membership

    entry = client.get(keys.node(membership.node_id))
    if entry is None:
        return membership
    node = decode(Node, entry.value)
    age = time.time() - timestamps.to_seconds(node.updated)  # negative after the clock was set back
    fresh = abs(age) < lifetime()
    if fresh and node.wireguard_key == pki.public_tunnel_key(membership.wireguard_key):
        return membership
    private, public = pki.new_tunnel_key()
    record = encode(replace(node, wireguard_key=public, updated=timestamps.now()))
    if not node_operations.perform(client, membership, "publish", node=record, revision=entry.revision)["done"]:
        return membership
    return memberships.update(root, lambda known: replace(known, wireguard_key=private)) or membership
