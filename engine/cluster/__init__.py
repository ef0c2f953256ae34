"""A host's part in a cluster: its membership, the records shared through etcd, and the overlay networks built from
these records.

Commands on a manager write to etcd directly. Commands on a worker ask a manager's server to write. The agent watches
etcd, programs peers and supplies names to DNS. On a host in no cluster, this code only checks whether a membership
record exists.
"""
