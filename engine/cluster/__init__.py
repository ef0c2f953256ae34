"""A host's part in a cluster: its membership, the records shared through etcd, and the overlay networks built from
these records.

Commands write to etcd without the agent; a worker's command uses a manager's server. The agent watches etcd, programs
peers and supplies names to DNS. On a host in no cluster, this code only checks whether a membership record exists.
"""
