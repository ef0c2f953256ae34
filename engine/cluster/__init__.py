"""A host's part in a cluster: membership, what hosts share through etcd, and overlay networks built from it.

Commands write to etcd directly; the resident agent watches it, programs peers and feeds names. A host that is in no
cluster never imports more of this package than `engine.cluster.membership`.
"""
