"""A host's part in a cluster: membership, records shared through etcd, and the overlay networks built from them.

Commands write to etcd directly. The resident agent watches etcd, programs peers and supplies names to DNS. A host in no
cluster only checks whether `engine.cluster.membership` has a record, and connects to nothing.
"""
