"""The operations of Docker's swarm API and the modules that they need: certificates, join tokens, etcd, the manager's
server.
"""
