"""The agent's cluster service and its threads: one renews this host's lease, one watches the etcd store, one programs
peer tables.
"""
