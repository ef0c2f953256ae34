"""The completion source of each flag and each argument.

A source is the set of words that may complete a flag's value or an argument. The table FLAGS maps flags to sources, and
the table ARGUMENTS maps arguments to sources. A key of these tables is the name of a flag or argument. The command's
module may precede the name (``network.ls --filter``). A key with a module takes precedence over a key without one. If a
flag or argument is not in its table, its value may be any text, so no words are offered.
"""

from __future__ import annotations

from collections.abc import Mapping

FREE = "none"
"""The completion source that offers no words."""

FLAGS: Mapping[str, str] = {
    "network.create --driver": "driver",
    "network.create --opt": "driver-option",
    "network.create --config-from": "config-networks",
    "network.create --ipam-driver": "ipam-driver",
    "network.create --scope": "scope",
    "network.connect --default-route": "default-route",
    "network.connect --driver-opt": "endpoint-option",
    "network.connect --link": "containers",
    "network.connect --restart": "namespace-restart",
    "network.ls --filter": "network-filter",
    "network.ls --format": "network-format",
    "network.inspect --format": "network-document-format",
    "network.map --format": "map-format",
    "doctor --format": "doctor-format",
    "network.prune --filter": "network-prune-filter",
    "container.ls --filter": "container-filter",
    "container.ls --format": "container-format",
    "container.prune --filter": "container-prune-filter",
    "container.inspect --format": "container-document-format",
    "inspect --format": "container-document-format",
    "inspect --type": "object-type",
    "container.stats --format": "stats-format",
    "container.logs --tail": "tail",
    "image.ls --filter": "image-filter",
    "image.prune --filter": "image-prune-filter",
    "image.ls --format": "image-format",
    "image.inspect --format": "document-format",
    "system.events --filter": "event-filter",
    "system.events --format": "event-format",
    "system.events --since": "recent",
    "system.info --format": "system-format",
    "system.version --format": "system-format",
    "swarm.init --cacert": "files",
    "swarm.init --cert": "files",
    "swarm.init --key": "files",
    "trace --format": "text-json",
    "--config": "directories",
    "--context": "context",
    "--add-host": "extra-host",
    "--attach": "stream",
    "--cap-add": "capability",
    "--cap-drop": "capability",
    "--cgroupns": "host-private",
    "--cidfile": "files",
    "--detach-keys": "detach-keys",
    "--dns-opt": "resolver-option",
    "--dns-option": "resolver-option",
    "--env": "environment",
    "--env-file": "files",
    "--label-file": "files",
    "--link": "running",
    "--log-driver": "log-driver",
    "--log-level": "log-level",
    "--log-opt": "log-option",
    "--mount": "mount",
    "--net": "network-mode",
    "--network": "network-mode",
    "--pid": "host-mode",
    "--pull": "pull",
    "--restart": "restart",
    "--security-opt": "security",
    "--signal": "signal",
    "--stop-signal": "signal",
    "--sysctl": "sysctl",
    "--ulimit": "ulimit",
    "--userns": "host-mode",
    "--volume": "files",
}

ARGUMENTS: Mapping[str, str] = {
    "network.connect network": "connectable-networks",
    "network.connect container": "strangers",
    "network.disconnect network": "used-networks",
    "network.disconnect container": "members",
    "network.rm networks": "removable-networks",
    "network": "networks",
    "networks": "more-networks",
    "container": "containers",
    "containers": "more-containers",
    "container.attach container": "running",
    "container.exec container": "running",
    "container.kill containers": "more-running",
    "container.start containers": "more-stopped",
    "container.stats containers": "more-running",
    "container.stop containers": "more-running",
    "inspect names": "anything",
    "container.top container": "running",
    "trace origin": "trace-source",
    "trace target": "trace-target",
    "container.unpublish ports": "more-ports",
    "port private_port": "ports",
    "image": "rootfs",
    "images": "more-images",
    "image.ls repository": "images",
    "image.import_ source": "archive",
    "image.import_ name": "images",
    "command": "command",
    "context.inspect names": "context",
    "context.use names": "context",
    "completion.command shell": "shell",
    "swarm.join_token role": "role",
}


def flag_source(module: str, flag: str) -> str:
    """Return the name of the completion source for a flag's values; `FREE` if no source is known.

    A completion source is a set of words that the shell offers; `FREE` offers none. ``module`` is the command's module
    below ``cli``, such as "network.ls". ``flag`` is the flag's long name, such as "--filter".
    """
    return FLAGS.get(f"{module} {flag}") or FLAGS.get(flag, FREE)


def argument_source(module: str, argument: str) -> str:
    """Return the name of the completion source for an argument; `FREE` if no source is known.

    A completion source is a set of words that the shell offers; `FREE` offers none. ``module`` is the command's module
    below ``cli``, such as "network.ls". ``argument`` is the name of the function's parameter, such as "networks".
    """
    return ARGUMENTS.get(f"{module} {argument}") or ARGUMENTS.get(argument, FREE)
