"""The agent's cluster service and its four threads: the first renews this host's lease, the second watches the etcd
store, the third programs the endpoints of other hosts (peers), the fourth answers the questions of other hosts.
"""
