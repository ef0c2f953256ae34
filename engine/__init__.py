"""The engine: Docker's rules for networks, endpoints, sandboxes and containers. It does not know the command line.

The texts use these terms:

- adopted namespace: a network namespace that hawse connected but did not create (`engine.containers.adopted`)
- agent: hawse's background process, which serves DNS and repairs networks (`engine.agentd`)
- former endpoint: an endpoint that has left its sandbox, but keeps its addresses and ports (`engine.model.FORMER`)
- gateway bridge: docker_gwbridge, which connects containers on cluster networks to the outside (`engine.cluster.hooks`)
- HAWSE_ROOT: the directory of the files that a reboot keeps (`engine.paths`); a parameter ``root`` is its path
- HAWSE_RUN: the directory of the files that a reboot deletes (`engine.paths`); a parameter ``run`` is its path
- intent: the record of unfinished work on an object, such as the start of a container (`engine.store.api.Intent`)
- legacy link: a ``--link`` of a container on the default bridge (`engine.endpoints.links`)
- predefined networks: bridge, host and none (`engine.networks.predefined`)
- supervisor: the process that is the parent of all container processes (`engine.runtime.supervisor`)
"""

PACKAGES = __file__.rsplit("/", 2)[0]
"""The directory of hawse's packages. A new process gets it as the first directory of the import path."""
