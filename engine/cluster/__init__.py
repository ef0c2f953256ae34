"""A host's part in a cluster: its membership, the records in etcd, and the overlay networks built from these records.

Commands on a manager write to etcd directly. Commands on a worker ask a manager's server to write. The agent watches
etcd. It writes the endpoints of other hosts to this host's forwarding tables, and supplies their names to DNS. On a
host in no cluster, this code only checks whether a membership record exists.

In this package, ``root`` is HAWSE_ROOT, and ``run`` is HAWSE_RUN.
"""
