"""The Docker commands that hawse lacks, and for each the reason and an alternative."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

REGISTRY = """hawse only pulls images ("hawse pull NAME", with skopeo).
For everything else: skopeo.
The credentials of a pull are those of "docker login" (DOCKER_CONFIG/config.json)."""
BUILD = """hawse builds no images. Build with another program, then load:
  buildah build -t NAME .
  buildah push NAME docker-archive:image.tar:NAME
  hawse load -i image.tar
From docker itself:
  docker save NAME | hawse load
Or run a directory: hawse run /some/rootfs COMMAND"""
LAYERS = """hawse keeps root file systems, not layers, and never changes an image.
"hawse load" reads archives; the files of an image are below HAWSE_ROOT/images."""
FILES = """The files of a container on hostfs or on a directory are those of this host:
copy them there.
To look into another container: hawse exec NAME tar -C /path -c . > files.tar"""
CGROUPS = """hawse limits no resources, because it makes no cgroups.
The pid for other programs (kill -STOP, systemd-run):
  hawse inspect -f '{{.State.Pid}}' NAME"""
VOLUMES = """hawse keeps no volumes. Mount a directory of this host:
  hawse run -v /srv/data:/data IMAGE"""
SOCKET = "@SOCKET@"
"""The placeholder for the path of the socket at which hawse serves Docker's API; `cli.root` replaces it."""
UPDATE = """hawse limits no resources, because it makes no cgroups.
To change a restart policy, use Docker's own command on hawse's API:
  hawse system service &
  DOCKER_HOST=unix://@SOCKET@ docker update --restart always NAME"""
COMPOSE = """Docker's own compose works on hawse's API:
  hawse system service &
  DOCKER_HOST=unix://@SOCKET@ docker compose up -d
hawse has no stacks."""
SERVICES = """hawse's cluster shares networks, not services.
Start the container on each host:
  hawse run -d --network OVERLAY --restart always IMAGE COMMAND"""
ROLES = """The join token decides a host's role. To change it: hawse swarm leave, then join
with the other token ("hawse swarm join-token manager" or "worker")."""
NODES = """A node has no tasks and no availability, because hawse's cluster shares
networks, not services.
To see the nodes: hawse node ls"""
CERTIFICATES = """hawse's cluster has no keys to unlock and no settings to change later.
A new join token: hawse swarm join-token --rotate worker"""
ONLY_HERE = """hawse has no daemon: a command works on the host where it runs.
For another host: ssh HOST hawse …"""
CONTEXTS = f"""hawse has one context, "default", which is this host.
{ONLY_HERE}"""
PLUGINS = """A network driver of hawse is a Python package with an entry point in
"hawse.drivers" (CONTRIBUTING.md)."""
CHECKPOINTS = """hawse makes no checkpoints of processes."""


def _each(names: str, text: str) -> Iterable[tuple[str, str]]:
    return ((name.replace("_", " "), text) for name in names.split())


ABSENT: Mapping[str, str] = dict((
    *_each("push search login logout manifest trust image_push", REGISTRY),
    *_each("build builder buildx image_build", BUILD),
    *_each("commit diff history container_commit container_diff image_history", LAYERS),
    *_each("export cp container_export container_cp", FILES),
    *_each("pause unpause container_pause container_unpause", CGROUPS),
    *_each("update container_update", UPDATE),
    *_each("volume", VOLUMES),
    *_each("compose stack", COMPOSE),
    *_each("service secret config", SERVICES),
    *_each("node_demote node_promote", ROLES),
    *_each("node_ps node_update", NODES),
    *_each("swarm_ca swarm_unlock swarm_unlock-key swarm_update", CERTIFICATES),
    *_each("context_create context_export context_import context_rm context_update", CONTEXTS),
    *_each("plugin", PLUGINS),
    *_each("checkpoint", CHECKPOINTS),
))  # fmt: skip
"""Maps the path of a command, such as ``image pull``, to the text for the user."""
