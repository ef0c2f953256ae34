"""A manager's server, ``python -m engine.swarm.server``: admits other hosts and gives them access to the etcd store.

The server is a separate process on every manager, on port 2377 by default, over TLS. The rights of a client depend on
its certificate:

- A host without a certificate of the cluster's authority can get the authority's certificate, and can join with
  a token.
- A worker can read the shared records, and can change only records that its own node owns.
- Another manager can send any request to the store, because it could send the same request to its own etcd
  member.
"""
