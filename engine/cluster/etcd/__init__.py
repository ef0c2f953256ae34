"""A thin client of etcd v3's JSON gateway (grpc-gateway, etcd 3.4 and later), on the standard library alone.

Why no library: against one member, in turns, etcd3gw 2.7 took 215 ms of processor time until its first answer and
1.4 ms for every put, this client 74 ms and 0.15 ms (medians; in wall time it was three to four times ahead as well).
Every command that starts a container on an overlay network pays that price, so the difference is what the user feels.
"""

from engine.cluster.etcd.client import Client, KeyValue, absent, delete, none_since, present, put, unchanged
from engine.cluster.etcd.errors import Compacted, EtcdError, EtcdUnavailable

__all__ = [
    "Client", "Compacted", "EtcdError", "EtcdUnavailable", "KeyValue", "absent", "delete", "none_since",
    "present", "put", "unchanged",
]  # fmt: skip
