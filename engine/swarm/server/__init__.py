"""A manager's server, ``python -m engine.swarm.server``: how other hosts join, and all that they reach of the store.

It is a process of its own on every manager, on port 2377, over TLS. Who has no certificate of the cluster's authority
learns that authority's certificate, and joins with a token. A host with a certificate reads what is shared, and acts on
what its own node owns. Another manager may do what a member of the store can, for it could do so at its own one.
"""
