"""The flags of ``run`` and ``create`` as data: every flag that Docker's help shows, with Docker's own help text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cli.container.flag_types import (
    BYTES,
    CGROUP_RULE,
    CPUS,
    DEVICE_BYTES,
    DEVICE_OPERATIONS,
    DEVICE_WEIGHT,
    DNS,
    DNS_SEARCH,
    DURATION,
    ENV,
    EXTRA_HOST,
    GPUS,
    INT,
    LABEL,
    LINK,
    MOUNT,
    NETWORK,
    STREAM,
    SWAP,
    SYSCTL,
    UINT16,
    ULIMIT,
)
from cli.container.unsupported import IGNORED, NEVER_HONOURED
from cli.pflag import LIST, MAP, STRING, Flag, flag

F = TypeVar("F", bound=Callable[..., Any])
CGROUPNS = """Cgroup namespace to use (host|private)
'host':    Run the container in the Docker host's cgroup namespace
'private': Run the container in its own private cgroup namespace
'':        Use the cgroup namespace as configured by the
           default-cgroupns-mode option on the daemon (default)"""

# Flags for the container's process, its files and its lifetime.
GENERAL = (
    flag("--attach", "-a", kind=STREAM, usage="Attach to STDIN, STDOUT or STDERR"),
    flag("--env", "-e", kind=ENV, usage="Set environment variables"),
    flag("--env-file", kind=LIST, usage="Read in a file of environment variables"),
    flag("--entrypoint", kind=STRING, usage="Overwrite the default ENTRYPOINT of the image"),
    flag("--hostname", "-h", kind=STRING, usage="Container host name"),
    flag("--domainname", kind=STRING, usage="Container NIS domain name"),
    flag("--interactive", "-i", usage="Keep STDIN open even if not attached"),
    flag("--label", "-l", kind=LABEL, usage="Set meta data on a container"),
    flag("--label-file", kind=LIST, usage="Read in a line delimited file of labels"),
    flag("--read-only", usage="Mount the container's root filesystem as read only"),
    flag("--restart", kind=STRING, usage="Restart policy to apply when a container exits", default_value="no"),
    flag("--stop-signal", kind=STRING, usage="Signal to stop the container"),
    flag("--stop-timeout", kind=INT, usage="Timeout (in seconds) to stop a container"),
    flag("--sysctl", kind=SYSCTL, usage="Sysctl options"),
    flag("--tty", "-t", usage="Allocate a pseudo-TTY"),
    flag("--user", "-u", kind=STRING, usage="Username or UID (format: <name|uid>[:<group|gid>])"),
    flag("--workdir", "-w", kind=STRING, usage="Working directory inside the container"),
    flag("--rm", usage="Automatically remove the container when it exits"),
    flag("--cidfile", kind=STRING, usage="Write the container ID to the file"),
    flag("--pid", kind=STRING, usage="PID namespace to use"),
    flag("--init", usage="Run an init inside the container that forwards signals and reaps processes"),
    flag("--cap-add", kind=LIST, usage="Add Linux capabilities"),
    flag("--cap-drop", kind=LIST, usage="Drop Linux capabilities"),
    flag("--privileged", usage="Give extended privileges to this container"),
    flag("--volume", "-v", kind=LIST, usage="Bind mount a volume"),
    flag("--mount", kind=MOUNT, usage="Attach a filesystem mount to the container"),
)

# Flags for networks, names and ports.
NETWORK_FLAGS = (
    flag("--add-host", kind=EXTRA_HOST, usage="Add a custom host-to-IP mapping (host:ip)"),
    flag("--dns", kind=DNS, usage="Set custom DNS servers"),
    flag("--dns-opt", "dns_option", kind=LIST, usage="Set DNS options", hidden=True),
    flag("--dns-option", kind=LIST, usage="Set DNS options"),
    flag("--dns-search", kind=DNS_SEARCH, usage="Set custom DNS search domains"),
    flag("--expose", kind=LIST, usage="Expose a port or a range of ports"),
    flag("--ip", kind=STRING, usage="IPv4 address (e.g., 172.30.100.104)"),
    flag("--ip6", kind=STRING, usage="IPv6 address (e.g., 2001:db8::33)"),
    flag("--link", kind=LINK, usage="Add link to another container"),
    flag("--link-local-ip", kind=LIST, usage="Container IPv4/IPv6 link-local addresses"),
    flag("--mac-address", kind=STRING, usage="Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    flag("--publish", "-p", kind=LIST, usage="Publish a container's port(s) to the host"),
    flag("--publish-all", "-P", usage="Publish all exposed ports to random ports"),
    flag("--net", "network", kind=NETWORK, usage="Connect a container to a network", hidden=True),
    flag("--network", kind=NETWORK, usage="Connect a container to a network"),
    flag("--net-alias", "network_alias", kind=LIST, usage="Add network-scoped alias for the container", hidden=True),
    flag("--network-alias", kind=LIST, usage="Add network-scoped alias for the container"),
)

# Flags for resource limits.
LIMITS = (
    flag(
        "--blkio-weight",
        kind=UINT16,
        usage="Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
    ),
    flag("--blkio-weight-device", kind=DEVICE_WEIGHT, usage="Block IO weight (relative device weight)"),
    flag("--cpu-period", kind=INT, usage="Limit CPU CFS (Completely Fair Scheduler) period"),
    flag("--cpu-quota", kind=INT, usage="Limit CPU CFS (Completely Fair Scheduler) quota"),
    flag("--cpu-rt-period", kind=INT, usage="Limit CPU real-time period in microseconds"),
    flag("--cpu-rt-runtime", kind=INT, usage="Limit CPU real-time runtime in microseconds"),
    flag("--cpu-shares", "-c", kind=INT, usage="CPU shares (relative weight)"),
    flag("--cpus", kind=CPUS, usage="Number of CPUs"),
    flag("--cpuset-cpus", kind=STRING, usage="CPUs in which to allow execution (0-3, 0,1)"),
    flag("--cpuset-mems", kind=STRING, usage="MEMs in which to allow execution (0-3, 0,1)"),
    flag("--device-read-bps", kind=DEVICE_BYTES, usage="Limit read rate (bytes per second) from a device"),
    flag("--device-read-iops", kind=DEVICE_OPERATIONS, usage="Limit read rate (IO per second) from a device"),
    flag("--device-write-bps", kind=DEVICE_BYTES, usage="Limit write rate (bytes per second) to a device"),
    flag("--device-write-iops", kind=DEVICE_OPERATIONS, usage="Limit write rate (IO per second) to a device"),
    flag("--kernel-memory", kind=BYTES, usage="Kernel memory limit"),
    flag("--memory", "-m", kind=BYTES, usage="Memory limit"),
    flag("--memory-reservation", kind=BYTES, usage="Memory soft limit"),
    flag("--memory-swap", kind=SWAP, usage="Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
    flag("--memory-swappiness", kind=INT, usage="Tune container memory swappiness (0 to 100)", default_value=-1),
    flag("--oom-kill-disable", usage="Disable OOM Killer"),
    flag("--oom-score-adj", kind=INT, usage="Tune host's OOM preferences (-1000 to 1000)"),
    flag("--pids-limit", kind=INT, usage="Tune container pids limit (set -1 for unlimited)"),
    flag("--shm-size", kind=BYTES, usage="Size of /dev/shm"),
    flag("--ulimit", kind=ULIMIT, usage="Ulimit options"),
)

# Flags for health checks.
HEALTH = (
    flag("--health-cmd", kind=STRING, usage="Command to run to check health"),
    flag("--health-interval", kind=DURATION, usage="Time between running the check (ms|s|m|h) (default 0s)"),
    flag("--health-retries", kind=INT, usage="Consecutive failures needed to report unhealthy"),
    flag(
        "--health-start-interval",
        kind=DURATION,
        usage="Time between running the check during the start period (ms|s|m|h) (default 0s)",
    ),
    flag(
        "--health-start-period",
        kind=DURATION,
        usage="Start period for the container to initialize before starting health-retries countdown "
        "(ms|s|m|h) (default 0s)",
    ),
    flag("--health-timeout", kind=DURATION, usage="Maximum time to allow one check to run (ms|s|m|h) (default 0s)"),
    flag("--no-healthcheck", usage="Disable any container-specified HEALTHCHECK"),
)

# Flags for devices, namespaces, logging, security and volumes.
SURROUNDINGS = (
    flag("--annotation", kind=MAP, usage="Add an annotation to the container (passed through to the OCI runtime)"),
    flag("--cgroup-parent", kind=STRING, usage="Optional parent cgroup for the container"),
    flag("--cgroupns", kind=STRING, usage=CGROUPNS),
    flag("--device", kind=LIST, usage="Add a host device to the container"),
    flag("--device-cgroup-rule", kind=CGROUP_RULE, usage="Add a rule to the cgroup allowed devices list"),
    flag("--gpus", kind=GPUS, usage="GPU devices to add to the container ('all' to pass all GPUs)"),
    flag("--group-add", kind=LIST, usage="Add additional groups to join"),
    flag("--ipc", kind=STRING, usage="IPC mode to use"),
    flag("--isolation", kind=STRING, usage="Container isolation technology"),
    flag("--log-driver", kind=STRING, usage="Logging driver for the container"),
    flag("--log-opt", kind=LIST, usage="Log driver options"),
    flag("--runtime", kind=STRING, usage="Runtime to use for this container"),
    flag("--security-opt", kind=LIST, usage="Security Options"),
    flag("--storage-opt", kind=LIST, usage="Storage driver options for the container"),
    flag("--tmpfs", kind=LIST, usage="Mount a tmpfs directory"),
    flag("--userns", kind=STRING, usage="User namespace to use"),
    flag("--uts", kind=STRING, usage="UTS namespace to use"),
    flag("--volume-driver", kind=STRING, usage="Optional volume driver for the container"),
    flag("--volumes-from", kind=LIST, usage="Mount volumes from the specified container(s)"),
)

# Flags for the creation of the container, such as ``--name`` and ``--platform``.
CREATION = (
    flag("--disable-content-trust", usage="Skip image verification", default_value=True, effect="ignored"),
    flag("--name", kind=STRING, usage="Assign a name to the container"),
    flag("--platform", kind=STRING, usage="Set platform if server is multi-platform capable"),
    flag("--quiet", "-q", usage="Suppress the pull output"),
)


def container_flags(function: F) -> F:
    """Add the flags that ``run`` and ``create`` share to a click command's function, and return the function.

    The function gets the values of these flags as keyword arguments.
    """
    for add in (*GENERAL, *NETWORK_FLAGS, *LIMITS, *HEALTH, *SURROUNDINGS, *CREATION):
        function = add(function)
    for param in getattr(function, "__click_params__", ()):
        if isinstance(param, Flag):
            param.effect = (
                "ignored" if param.key in IGNORED else "refused" if param.key in NEVER_HONOURED else param.effect
            )
    return function
