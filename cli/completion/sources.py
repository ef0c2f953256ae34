"""The completion sources by name; a `Source` has the words that may complete a flag value or an argument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct, field

from cli.container.row import HEADER as CONTAINER_FIELDS
from cli.container.stats import HEADER as STATS_FIELDS
from cli.image.ls import HEADER as IMAGE_FIELDS
from cli.network.ls import HEADER as NETWORK_FIELDS
from engine.filters.containers import HEALTH, STATUSES
from engine.runtime.credentials import CAPABILITIES
from engine.system import network_drivers

Words = Mapping[str, str]
"""Maps each offered word to its description, or to "" if the word needs no description."""


class Source(Struct, frozen=True):
    """The words that may complete one flag value or argument.

    The source offers the words of all its fields together:

    - ``words``: fixed words.
    - ``names``: kinds of names that ``hawse __complete`` finds, such as ``networks``.
    - ``shell``: what the shell itself can complete, such as file names.
    - ``keys``: words that start a value and end with ``=`` or ``:``. Each word maps to the source of the text after the
      word.
    - ``summaries``: the descriptions of the keys; a key may have none.
    - ``commas``: the value is a comma-separated list, and the last part of the list is completed.
    - ``by_flag``: another flag of the command line selects the source. The tuple holds that flag's long name, its short
      name, and a source for each of its values. The value "" stands for a command line without that flag.
    """

    words: Words = field(default_factory=dict)
    names: tuple[str, ...] = ()
    shell: Literal["", "files", "directories", "command"] = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    summaries: Words = field(default_factory=dict)
    commas: bool = False
    by_flag: tuple[str, str, Mapping[str, str]] | None = None


def described_keys(source: Source) -> Iterator[str]:
    """Yield three words for each key of a source: the key, the name of a source, and the key's description.

    The named source completes the text after the key. The description is "" if the key has none.
    """
    for key, values in source.keys.items():
        yield from (key, values, source.summaries.get(key, ""))


def plain(*words: str) -> Source:
    """Return a source of words without descriptions."""
    return Source(dict.fromkeys(words, ""))


ENDPOINT = "com.docker.network.endpoint."
ULIMITS = "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"
EVENTS = (
    "attach connect create delete destroy die disconnect exec_create exec_detach exec_die exec_start import kill load "
    "oom prune publish rename repair restart start stop tag top unpublish untag update"
)
SIGNALS = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGCONT", "SIGSTOP", "SIGWINCH"]


def list_format(fields: Mapping[str, str]) -> Source:
    """Return the source for ``--format`` of a list command; ``fields`` maps fields such as "ID" to their titles."""
    named = {"table": "A table with headers", "json": "One JSON object per line", "raw": "One field per line"}
    return Source({**named, **{f"{{{{.{name}}}}}": title for name, title in fields.items()}, "{{json .}}": ""})


def _drivers() -> dict[str, Source]:
    """Return the sources for driver names, driver options and option values, by the source's name.

    The options of a ``singleton`` driver are omitted. A host has only one network of such a driver, so users cannot
    create networks with it.
    """
    drivers = network_drivers()
    several = {name: facts for name, facts in drivers.items() if not facts.singleton}
    single = {name: facts.summary for name, facts in drivers.items() if facts.singleton}
    words = {name: facts.summary for name, facts in several.items()}
    options = {name: f"{name}-option" for name in several}
    sources = {
        "driver": Source(words),
        "any-driver": Source({**words, **single}),
        "driver-option": Source(by_flag=("--driver", "-d", {"": options["bridge"], **options})),
    }
    kinds = {}
    for name, facts in several.items():
        flags = {key: option.summary for key, option in facts.options.items() if option.kind == "flag"}
        keys = {f"{key}=": KINDS.get(o.kind, o.kind) for key, o in facts.options.items() if o.kind != "flag"}
        summaries = {f"{key}=": option.summary for key, option in facts.options.items()}
        sources[options[name]] = Source(flags, keys=keys, summaries=summaries)
        kinds.update({option.kind: Source(option.values) for option in facts.options.values() if option.values})
    return {**sources, **kinds}


KINDS = {"text": "none", "boolean": "bool", "interface": "interfaces"}
"""Maps the type of a driver's option to the source of its value; any other type is also the name of a source."""

NETWORKS: Mapping[str, Source] = {
    "networks": Source(names=("networks",)),
    "more-networks": Source(names=("networks+",)),
    "removable-networks": Source(names=("custom-networks+",)),
    "connectable-networks": Source(names=("connectable-networks",)),
    "used-networks": Source(names=("used-networks",)),
    "config-networks": Source(names=("config-networks",)),
    **_drivers(),
    "interfaces": Source(names=("interfaces",)),
    "ipam-driver": plain("default", "null"),
    "scope": plain("local", "swarm", "global"),
    "network-type": Source({"builtin": "bridge, host and none", "custom": "All other networks"}),
    "network-filter": Source(
        keys={
            "dangling=": "bool",
            "driver=": "any-driver",
            "id=": "none",
            "label=": "network-labels",
            "name=": "networks",
            "scope=": "scope",
            "type=": "network-type",
        }
    ),
    "network-labels": Source(names=("network-labels",)),
    "network-prune-filter": Source(keys={"label=": "network-labels", "label!=": "network-labels", "until=": "age"}),
    "network-format": list_format(NETWORK_FIELDS),
    "endpoint-option": Source(keys={f"{ENDPOINT}sysctls=": "none"}),
    "default-route": Source(
        {
            "auto": "Only if the namespace has no default route",
            "yes": "It takes precedence over existing default routes",
            "no": "Never",
        }
    ),
    "network-mode": Source(
        {"host": "The host's network", "none": "No network", "bridge": "The default bridge"},
        ("joinable-networks",),
        keys={
            "container:": "running",
            "name=": "networks",
            **dict.fromkeys(("alias=", "ip=", "ip6=", "mac-address=", "driver-opt="), "none"),
        },
        summaries={
            "container:": "The network of another container",
            "name=": "A network, with options after a comma",
            "alias=": "Another name in the network's DNS",
            "ip=": "IPv4 address",
            "ip6=": "IPv6 address",
            "mac-address=": "MAC address",
            "driver-opt=": "Option of the network's driver",
        },
        commas=True,
    ),
}  # fmt: skip

CONTAINERS: Mapping[str, Source] = {
    "containers": Source(names=("containers",)),
    "running": Source(names=("running",)),
    "more-containers": Source(names=("containers+",)),
    "more-running": Source(names=("running+",)),
    "more-stopped": Source(names=("stopped+",)),
    "members": Source(names=("members",)),
    "strangers": Source(
        names=("strangers",),
        keys={"netns:": "namespaces", "pid:": "processes"},
        summaries={"netns:": "A namespace of ip netns", "pid:": "The namespace of a process"},
    ),
    "trace-source": Source(
        {"host": "This host", "outside": "A machine outside of this host"},
        ("running",),
        keys={"netns:": "namespaces", "outside:": "interfaces", "pid:": "processes"},
        summaries={
            "netns:": "A namespace of ip netns",
            "outside:": "A machine outside, at an interface of this host",
            "pid:": "The namespace of a process",
        },
    ),
    "trace-target": Source(
        names=("running",),
        keys={"published:": "published-ports"},
        summaries={"published:": "A published port of this host"},
    ),
    "published-ports": Source(names=("published-ports",)),
    "namespaces": Source(names=("namespaces",)),
    "processes": Source(names=("processes",)),
    "anything": Source(names=("containers+", "networks+", "images+")),
    "ports": Source(names=("ports",)),
    "more-ports": Source(names=("ports+",)),
    "object-type": plain("container", "image", "network"),
    "status": plain(*STATUSES),
    "health": plain(*HEALTH),
    "container-labels": Source(names=("container-labels",)),
    "container-filter": Source(
        keys={
            "ancestor=": "images",
            "before=": "containers",
            "exited=": "none",
            "expose=": "none",
            "health=": "health",
            "id=": "none",
            "is-task=": "bool",
            "isolation=": "none",
            "label=": "container-labels",
            "name=": "containers",
            "network=": "networks",
            "publish=": "none",
            "since=": "containers",
            "status=": "status",
            "volume=": "none",
        }
    ),
    "container-prune-filter": Source(
        keys={"label=": "container-labels", "label!=": "container-labels", "until=": "age"}
    ),
    "stats-format": list_format(STATS_FIELDS),
    "container-format": list_format(CONTAINER_FIELDS),
    "restart": Source(
        {
            "no": "Never",
            "always": "Each time it ends",
            "unless-stopped": "Each time it ends, unless it was stopped",
            "on-failure": "If its exit code is not 0",
        },
        keys={"on-failure:": "none"},
    ),
    "namespace-restart": plain("no", "unless-stopped"),
    "pull": Source({"always": "Pull the image each time", "missing": "Pull the image if it is missing", "never": ""}),
    "stream": plain("stdin", "stdout", "stderr"),
    "signal": plain(*SIGNALS),
    "capability": plain("ALL", *CAPABILITIES),
    "log-driver": plain("json-file", "local", "none"),
    "log-option": Source(keys=dict.fromkeys(("compress=", "max-file=", "max-size="), "none")),
    "tail": plain("all", "10", "100"),
    "ulimit": Source(keys={f"{name}=": "none" for name in ULIMITS.split()}),
    "sysctl": Source(
        keys={
            "net.core.somaxconn=": "none",
            "net.ipv4.ip_forward=": "zero-one",
            "net.ipv4.ip_local_port_range=": "none",
            "net.ipv4.ip_unprivileged_port_start=": "none",
            "net.ipv4.ping_group_range=": "none",
            "net.ipv6.conf.all.disable_ipv6=": "zero-one",
            "net.ipv6.conf.all.forwarding=": "zero-one",
        }
    ),
    "zero-one": plain("0", "1"),
    "security": plain(
        "apparmor=unconfined", "label=disable", "no-new-privileges", "seccomp=unconfined", "systempaths=unconfined"
    ),
    "mount": Source(
        {"readonly": ""},
        keys={"type=": "mount-type", "source=": "files", "src=": "files", "target=": "none", "dst=": "none"},
        summaries={
            "type=": "Only bind",
            "source=": "Path on this host",
            "src=": "Path on this host",
            "target=": "Path in the container",
            "dst=": "Path in the container",
        },
        commas=True,
    ),
    "mount-type": plain("bind"),
    "extra-host": plain("host.docker.internal:host-gateway"),
    "resolver-option": Source(
        {"edns0": "", "rotate": "", "use-vc": ""}, keys=dict.fromkeys(("attempts:", "ndots:", "timeout:"), "none")
    ),
    "host-mode": Source({"host": "Share the host's namespace"}),
    "host-private": Source({"host": "Share the host's namespace", "private": "A new namespace"}),
    "text-json": Source({"text": "A tree for users", "json": "For programs"}),
    "detach-keys": plain("ctrl-p,ctrl-q"),
    "environment": Source(names=("environment",)),
}

OTHERS: Mapping[str, Source] = {
    "none": Source(),
    "bool": plain("true", "false"),
    "files": Source(shell="files"),
    "directories": Source(shell="directories"),
    "context": Source({"default": "This host"}),
    "command": Source(shell="command"),
    "age": Source({"10m": "Older than 10 minutes", "24h": "Older than a day", "168h": "Older than a week"}),
    "recent": Source({"10m": "The last 10 minutes", "24h": "The last day", "168h": "The last week"}),
    "log-level": plain("debug", "info", "warn", "error", "fatal"),
    "rootfs": Source({"hostfs": "The files of the host"}, ("images",), "directories"),
    "images": Source(names=("images",)),
    "more-images": Source(names=("images+",)),
    "archive": Source({"-": "Standard input"}, shell="files"),
    "image-prune-filter": Source(keys={"label=": "none", "label!=": "none", "until=": "age"}),
    "image-filter": Source(
        keys={"before=": "images", "dangling=": "bool", "label=": "none", "reference=": "images", "since=": "images"}
    ),
    "image-format": list_format(IMAGE_FIELDS),
    "document-format": Source({"json": "One line of JSON", "{{json .}}": "", "{{.Id}}": "", "{{.Name}}": ""}),
    "container-document-format": Source(
        {
            "json": "One line of JSON",
            "{{json .}}": "",
            "{{.State.Pid}}": "",
            "{{.State.Status}}": "",
            "{{json .NetworkSettings.Networks}}": "",
            "{{json .NetworkSettings.Ports}}": "",
            "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}": "",
        }
    ),
    "network-document-format": Source(
        {
            "json": "One line of JSON",
            "{{json .}}": "",
            "{{json .Containers}}": "",
            "{{json .IPAM.Config}}": "",
            "{{range .Containers}}{{.Name}} {{end}}": "",
            "{{range .IPAM.Config}}{{.Subnet}} {{end}}": "",
        }
    ),
    "map-format": Source(
        {
            "tree": "A tree, as without the flag",
            "mermaid": "A flowchart, which GitHub shows",
            "dot": "A graph for Graphviz",
            "svg": "A picture",
            "json": "For programs",
        }
    ),
    "doctor-format": Source({"table": "One line per check", "json": "For programs"}),
    "event-filter": Source(
        keys={
            "container=": "containers",
            "daemon=": "none",
            "event=": "event",
            "image=": "images",
            "label=": "container-labels",
            "network=": "networks",
            "node=": "none",
            "scope=": "scope",
            "type=": "event-type",
        }
    ),
    "event": plain(*EVENTS.split()),
    "event-type": plain("container", "daemon", "image", "network", "node"),
    "event-format": Source(
        {
            "json": "One JSON object per line",
            "{{json .}}": "",
            "{{.Type}}": "",
            "{{.Action}}": "",
            "{{.Actor.ID}}": "",
            "{{.Actor.Attributes.name}}": "",
        }
    ),
    "system-format": Source({"json": "One line of JSON", "{{json .}}": ""}),
    "role": plain("manager", "worker"),
    "shell": plain("bash", "fish", "zsh"),
}

SOURCES: Mapping[str, Source] = {**NETWORKS, **CONTAINERS, **OTHERS}
