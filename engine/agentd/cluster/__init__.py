"""The agent's cluster service and its three threads: the first renews this host's lease, the second watches the etcd
store, the third programs the endpoints of other hosts (peers).
"""
