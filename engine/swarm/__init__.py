"""The verbs of Docker's swarm API, and what they need: certificates, join tokens, etcd member, manager's server."""
