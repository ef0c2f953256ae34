"""The notes and examples at the end of each command's help. They are shown only on a terminal.

Each example is a comment and a command line. The keys of `NOTES` and `EXAMPLES` are paths of commands without
``hawse``. If `EXAMPLES` does not have a path, the path without the group is used. Example: ``container run`` has the
notes and examples of ``run``.
"""

from __future__ import annotations

from collections.abc import Mapping

IMAGE = """Image:
  hostfs       the files of this host; nothing is copied
  /some/dir    a directory that holds a root file system
  NAME[:TAG]   an image of "hawse load" or "hawse pull"; a missing one is pulled"""
ADOPTED = """Container:
  NAME         a container of "hawse run", by its name or id
  netns:NAME   a namespace that "ip netns add NAME" made; netns:/path a file
  pid:N        the network namespace of the process N"""
TRACE = """Source:
  NAME           a container; netns:NAME and pid:N are namespaces
  host           this host
  outside[:IF]   an external machine, whose packets arrive at the interface IF
Target:
  web:80, web:53/udp, web (ping), 10.0.0.3:80, [fd00::3]:80, http://web/,
  published:8080 (a port that a container publishes on this host)"""
GUIDE = """Image:
  An image is a root file system: hostfs (the files of this host), a directory,
  or an image of "hawse pull" (a registry, with skopeo) or "hawse load" (an archive).

Container:
  Any network namespace can be used as a container: netns:NAME is a namespace
  of "ip netns", and pid:N is the namespace of the process N.

Help of a command:
  A terminal shows hawse's own flags too, and marks flags without effect.
  A pipe gets Docker's text, which has neither. "man hawse-COMMAND" has all."""
"""The text at the end of the help of hawse itself."""

Example = tuple[str, str]

NOTES: Mapping[str, str] = {"run": IMAGE, "create": IMAGE, "network connect": ADOPTED, "network disconnect": ADOPTED,
         "trace": TRACE}  # fmt: skip
EXAMPLES: Mapping[str, tuple[Example, ...]] = {
    "attach": (
        ("see and type what the container's command sees; ctrl-p ctrl-q leaves it", "hawse attach web"),
        ("only see the output", "hawse attach --no-stdin web"),
    ),
    "completion": (
        ("bash, until the shell ends", "source <(hawse completion bash)"),
        ("fish, permanently", "hawse completion fish > ~/.config/fish/completions/hawse.fish"),
        ("zsh, permanently", "hawse completion zsh > /usr/local/share/zsh/site-functions/_hawse"),
    ),
    "create": (
        ("prepare a container, and start it later", "hawse create --name db --network app hostfs sleep 1d"),
        ("with a port, from a directory", "hawse create --name web -p 8080:80 /srv/rootfs httpd -f"),
    ),
    "exec": (
        ("a shell in the container", "hawse exec -it web sh"),
        ("one command", "hawse exec web ip address"),
        ("with an environment variable", "hawse exec -e DEBUG=1 web env"),
    ),
    "inspect": (
        ("everything about a container, a network or an image", "hawse inspect web"),
        ("one address", "hawse inspect -f '{{.NetworkSettings.Networks.app.IPAddress}}' web"),
    ),
    "container inspect": (
        ("everything about a container", "hawse container inspect web"),
        ("the pid of its process", "hawse container inspect -f '{{.State.Pid}}' web"),
    ),
    "kill": (
        ("end the process at once", "hawse kill web"),
        ("let it read its configuration again", "hawse kill -s HUP web"),
    ),
    "logs": (
        ("the last 20 lines, then new lines", "hawse logs -f --tail 20 web"),
        ("the lines of the last ten minutes, with times", "hawse logs -t --since 10m web"),
    ),
    "ps": (
        ("all containers, stopped ones too", "hawse ps -a"),
        ("the containers of a network", "hawse ps --filter network=app"),
        ("names and ports", "hawse ps --format '{{.Names}}: {{.Ports}}'"),
    ),
    "container ls": (
        ("all containers, stopped ones too", "hawse container ls -a"),
        ("the containers of a network", "hawse container ls --filter network=app"),
    ),
    "port": (
        ("all published ports", "hawse port web"),
        ("where the container's port 80 is", "hawse port web 80/tcp"),
    ),
    "image prune": (
        ("remove the images without a name", "hawse image prune -f"),
        ("also those with a name that no container uses", "hawse image prune -af"),
    ),
    "container prune": (
        ("remove all stopped containers", "hawse container prune -f"),
        ("those that are older than 24 hours", "hawse container prune --filter until=24h"),
    ),
    "publish": (
        ("one more port of a running container", "hawse publish -p 9090:90 web"),
        ("only for this host", "hawse publish -p 127.0.0.1:9090:90 web"),
    ),
    "trace": (
        ("why does web not reach the port of db?", "hawse trace web db:5432"),
        ("can machines outside reach a published port?", "hawse trace outside published:8080"),
        ("as JSON, and without sending anything", "hawse trace --dry --format json host web:80"),
    ),
    "unpublish": (
        ("close a port", "hawse unpublish web 90/tcp"),
        ("close a range", "hawse unpublish web 9000-9010/tcp"),
        ("close one of two host ports of port 90", "hawse unpublish web 9091:90"),
    ),
    "rename": (("give a container another name", "hawse rename web front"),),
    "restart": (
        ("stop and start again", "hawse restart web"),
        ("kill it after two seconds", "hawse restart -t 2 web"),
    ),
    "rm": (
        ("remove a stopped container", "hawse rm web"),
        ("remove it even if it runs", "hawse rm -f web"),
    ),
    "run": (
        ("a web server of this host's files, at port 8080", "hawse run -d --name web -p 8080:80 "
         "hostfs python3 -m http.server 80"),
        ("ask it from the same network", "hawse run --rm --network app hostfs curl -s http://web/"),
        ("a shell in an imported image", "hawse run -it --rm alpine:3.20 sh"),
    ),
    "start": (
        ("start a stopped container", "hawse start web"),
        ("start it and show its output", "hawse start -a web"),
    ),
    "stats": (
        ("a live table of the running containers", "hawse stats"),
        ("the network traffic, once", "hawse stats --no-stream --format 'table {{.Name}}\t{{.NetIO}}'"),
    ),
    "stop": (
        ("stop; kill it after ten seconds", "hawse stop web"),
        ("stop all running containers", "hawse stop $(hawse ps -q)"),
    ),
    "top": (
        ("the processes of a container", "hawse top web"),
        ("with the options of ps", "hawse top web -o pid,stat,args"),
    ),
    "wait": (("wait until it ends, and print its exit code", "hawse wait job"),),
    "import": (
        ("an image of Docker", "docker save alpine:3.20 | hawse import -"),
        ("a plain root file system", "tar -C /srv/rootfs -c . | hawse import - mine:1.0"),
    ),
    "load": (
        ("an image of Docker", "docker save alpine:3.20 | hawse load"),
        ("an image that buildah has built", "buildah push web docker-archive:web.tar:web:1.0; hawse load -i web.tar"),
    ),
    "pull": (
        ("the newest image of Docker Hub", "hawse pull alpine"),
        ("an image of a registry, for another processor", "hawse pull --platform linux/arm64 registry.lan/app:1.0"),
        ("with the credentials of docker login", "docker login registry.lan; hawse pull registry.lan/app:1.0"),
    ),
    "save": (
        ("move an image to another host", "hawse save web:1.0 | ssh HOST hawse load"),
        ("give an image to Docker", "hawse save -o web.tar web:1.0; docker load -i web.tar"),
    ),
    "tag": (("give an image one more name", "hawse tag alpine:3.20 base:latest"),),
    "image inspect": (
        ("everything about an image", "hawse image inspect alpine:3.20"),
        ("its command", "hawse image inspect -f '{{.Config.Cmd}}' alpine:3.20"),
    ),
    "image ls": (
        ("all images", "hawse image ls"),
        ("the tags of one", "hawse image ls alpine"),
    ),
    "images": (
        ("all images", "hawse images"),
        ("only the ids", "hawse images -q"),
    ),
    "image rm": (("remove an image", "hawse image rm alpine:3.20"),),
    "rmi": (("remove an image", "hawse rmi alpine:3.20"),),
    "events": (
        ("what happens from now on", "hawse events"),
        ("networks in the last ten minutes", "hawse events --since 10m --until 0s --filter type=network"),
        ("repairs of networks, as JSON", "hawse events --since 24h --filter event=repair --format json"),
    ),
    "info": (
        ("this host, and warnings", "hawse info"),
        ("one field", "hawse info -f '{{.Swarm.LocalNodeState}}'"),
    ),
    "version": (
        ("the versions of hawse and of the Docker release that it copies", "hawse version"),
        ("one field", "hawse version -f '{{.Server.Version}}'"),
    ),
    "network connect": (
        ("a container, with one more name", "hawse network connect --alias store app db"),
        ("a namespace that hawse did not make", "hawse network connect app netns:lab1"),
        ("a process, with a port of the host", "hawse network connect -p 8080:80 app pid:1234"),
    ),
    "network create": (
        ("a network with a free subnet", "hawse network create app"),
        ("with a subnet, dual-stack", "hawse network create --subnet 172.30.0.0/16 --ipv6 app"),
        ("across the hosts of a swarm", "hawse network create -d overlay --attachable app"),
        ("show the equivalent commands of ip, bridge and nft", "hawse network create --explain app"),
        ("only show them", "hawse network create --dry-run app"),
    ),
    "network disconnect": (
        ("disconnect a container", "hawse network disconnect app db"),
        ("a namespace", "hawse network disconnect app netns:lab1"),
    ),
    "network inspect": (
        ("everything about a network", "hawse network inspect app"),
        ("the names of its containers", "hawse network inspect -f '{{range .Containers}}{{.Name}} {{end}}' app"),
        ("with the addresses in use", "hawse network inspect -v app"),
    ),
    "network ls": (
        ("all networks", "hawse network ls"),
        ("those that no container uses", "hawse network ls --filter dangling=true"),
        ("only the names", "hawse network ls --format '{{.Name}}'"),
    ),
    "network map": (
        ("what is connected to what", "hawse network map"),
        ("one network as a picture", "hawse network map --format svg app > app.svg"),
        ("for a page on GitHub", "hawse network map --format mermaid"),
    ),
    "network prune": (
        ("remove all unused networks", "hawse network prune -f"),
        ("those with a label", "hawse network prune --filter label=test"),
    ),
    "network rm": (
        ("remove two networks", "hawse network rm app back"),
        ("no error if it does not exist", "hawse network rm -f app"),
    ),
    "network verify": (
        ("is the network as recorded?", "hawse network verify app"),
        ("repair the differences", "hawse network verify --fix app"),
    ),
    "context inspect": (
        ("the socket of Docker's API", "hawse context inspect -f '{{.Endpoints.docker.Host}}'"),
    ),
    "context ls": (("the only context: this host", "hawse context ls"),),
    "context show": (("for a script", "hawse context show"),),
    "context use": (("only this host", "hawse context use default"),),
    "node inspect": (
        ("this host", "hawse node inspect --pretty self"),
        ("one field", "hawse node inspect -f '{{.Status.State}}' host2"),
    ),
    "node ls": (("the hosts of the cluster", "hawse node ls"),),
    "node rm": (
        ("a host that is down", "hawse node rm host2"),
        ("a worker that still runs", "hawse node rm -f host2"),
    ),
    "swarm init": (
        ("a new cluster; prints the line for the other hosts", "hawse swarm init --advertise-addr 192.0.2.11"),
        ("in your own etcd", "hawse swarm init --store https://etcd.example:2379 --cacert ca.pem"),
    ),
    "swarm join": (
        ("in the role of the token", "hawse swarm join --token SWMTKN-1-… 192.0.2.11:2377"),
        ("as a manager; a worker token is refused", "hawse swarm join --manager --token SWMTKN-1-… 192.0.2.11:2377"),
    ),
    "swarm join-token": (
        ("the line for a new worker", "hawse swarm join-token worker"),
        ("replace the token", "hawse swarm join-token --rotate worker"),
    ),
    "swarm leave": (
        ("a worker", "hawse swarm leave"),
        ("a manager", "hawse swarm leave --force"),
    ),
    "boot": (
        ("after a boot, on a host without systemd", "hawse system boot"),
        ("do not wait for the cluster's store", "hawse system boot --timeout 0"),
    ),
    "shutdown": (("before a shutdown, on a host without systemd", "hawse system shutdown"),),
    "doctor": (
        ("what is wrong on this host, and why", "hawse doctor"),
        ("repair hawse's own objects", "hawse doctor --fix"),
        ("for a program", "hawse doctor --format json"),
    ),
    "check": (
        ("is the database intact?", "hawse system check"),
        ("rebuild a damaged or deleted database", "hawse system check --repair"),
    ),
    "system df": (
        ("how much of the disk is in use", "hawse system df"),
        ("by each image and container", "hawse system df -v"),
    ),
    "system prune": (
        ("remove stopped containers, unused networks and images without a name", "hawse system prune"),
        ("also unused images with a name, without a question", "hawse system prune -af"),
    ),
    "install": (("let systemd start hawse's agent and warm server", "hawse system install"),),
    "service": (
        (
            "let docker, compose and other clients in this shell use hawse",
            "hawse system service & export DOCKER_HOST=unix:///run/hawse/docker.sock",
        ),
        ("let a group use it, whose members are then root", "hawse system service --group hawse"),
        (
            "from other hosts, with certificates on both sides",
            "hawse system service --host tcp://:2376 --tlscacert A --tlscert C --tlskey K",
        ),
    ),
    "uninstall": (("before hawse itself is removed", "hawse system uninstall"),),
}  # fmt: skip


def notes(line: str) -> str:
    """Return the notes and examples of a command, or "" if it has none.

    ``line`` is the command's path, such as ``hawse network create``.
    """
    path = line.partition(" ")[2]
    short = path.partition(" ")[2]
    key = next((key for key in (path, short) if key in EXAMPLES), "")
    parts = [NOTES[key]] if key in NOTES else []
    if key:
        lines = (f"  # {comment}\n  {example}" for comment, example in EXAMPLES[key])
        parts.append("Examples:\n" + "\n".join(lines))
    return "\n\n".join(parts)
