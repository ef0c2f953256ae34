"""The agent's cluster service and its five threads:

- `lease`: renews this host's lease
- `watcher`: watches the etcd store
- `peer_sync`: programs the endpoints of other hosts (peers)
- `responder`: answers the questions of other hosts
- `snapshot_saver`: saves the etcd store's records to disk
"""
