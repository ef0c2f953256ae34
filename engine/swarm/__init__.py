"""The operations of Docker's swarm API, and the modules that these operations need.

Those modules are for certificates, join tokens, etcd and the manager's server. In this package, ``root`` is HAWSE_ROOT,
and ``run`` is HAWSE_RUN.
"""
