"""The completion source of each flag and each argument.

A key of the tables is the name of a flag or argument. The command's module may precede the name (``network.ls
--filter``). A key with a module takes precedence over a key without one.
"""

from __future__ import annotations

from collections.abc import Mapping

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


def source_of(table: Mapping[str, str], module: str, name: str) -> str:
    """Return the completion source of a flag or argument, or "none" (which offers no words) if the table has no source.

    ``table`` is `FLAGS` or `ARGUMENTS`. ``module`` is the command's module below ``cli``, such as "network.ls".
    ``name`` is the flag's long name, such as "--filter", or the name of the function's parameter, such as "networks".
    """
    return table.get(f"{module} {name}") or table.get(name, "none")
