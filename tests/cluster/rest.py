"""Checks of a cluster after all test commands and faults have ended. Each check returns one line for each error that it
finds.
"""

from __future__ import annotations

import json
from collections import Counter

OVERLAYS = ("network", "ls", "--filter", "driver=overlay", "--format", "{{.Name}}")


def amiss(hosts):
    """Return the errors found on these hosts.

    Each host's kernel tables must agree with the etcd store. No address may be used twice. Each container must reach
    the others by name and by address.
    """
    everyone = [(host, c) for host in hosts for c in containers(host)]
    return [*(line for host in hosts for line in verified(host)), *twice(everyone), *unreached(everyone)]


def containers(host):
    """Return the inspect documents of a host's running containers."""
    ids = host.hawse("ps", "-q", check=False).stdout.split()
    return json.loads(host.hawse("inspect", *ids, check=False).stdout or "[]") if ids else []


def name_of(container):
    return container["Name"].lstrip("/")


def addresses(container):
    """Return a container's address on each network."""
    networks = container["NetworkSettings"]["Networks"].items()
    return {network: settings["IPAddress"] for network, settings in networks if settings["IPAddress"]}


def verified(host):
    for network in host.hawse(*OVERLAYS).stdout.split():
        if network != "ingress":
            done = host.verify(network)
            for line in (done.stdout + done.stderr).splitlines() if done.returncode else ():
                yield f"host {host.index}, network {network}: {line}"


def twice(everyone):
    counted = Counter(place for _, container in everyone for place in addresses(container).items())
    return [f"given out {n} times: {address} of {network}" for (network, address), n in counted.items() if n > 1]


def unreached(everyone):
    """Yield an error for each container that cannot resolve or ping another container on a common network."""
    for host, container in everyone:
        targets = {name_of(c): shared(container, c) for _, c in everyone if c is not container}
        targets = {name: places for name, places in targets.items() if places}
        if targets:
            yield from (f"host {host.index}, {name_of(container)}: {line}" for line in ask(host, container, targets))


def shared(first, second):
    """Return the addresses that ``second`` has on the networks to which both containers are connected."""
    return [address for network, address in addresses(second).items() if network in addresses(first)]


def ask(host, container, targets):
    """Resolve and ping all targets from inside a container with one shell; yield a line for each target that fails."""
    lines = [f"echo {n} $(busybox ping -c1 -W2 {n} 2>&1 | head -n 1)" for n in targets]
    everything = {a for places in targets.values() for a in places}
    lines += [f"busybox ping -c1 -W2 {a} >/dev/null || echo lost {a}" for a in everything]
    done = host.hawse("exec", container["Id"], "sh", "-c", "\n".join(lines), check=False, timeout=300)
    if done.returncode:
        yield f"exec: {done.stderr.strip()}"
    for line in done.stdout.splitlines():
        name, _, reply = line.partition(" ")
        if name == "lost":
            yield f"does not reach {reply}"
        elif not any(f"({a})" in reply for a in targets.get(name, ())):
            yield f"takes {name} for {reply or 'nobody'}, not for {' or '.join(targets.get(name, ()))}"


def clear(hosts, networks):
    """Remove all containers from these hosts, then remove these networks."""
    for host in hosts:
        ids = host.hawse("ps", "-aq").stdout.split()
        if ids:
            host.hawse("rm", "-f", *ids)
    for network in networks:
        hosts[0].hawse("network", "rm", network, check=False)


def left_over(hosts):
    """Yield a line for each record or kernel object that is left after all containers and networks were removed."""
    for line in hosts[0].tool("-", "residue"):
        yield f"in the store: {line}"
    for host in hosts:
        for file in (host.run_dir / "overlay").glob("*"):
            if len(file.name) == 12:
                yield f"host {host.index}: {file}"
        for line in host.sh("ip -o link show type veth").splitlines():
            if ": ext0" not in line:
                yield f"host {host.index}: {line}"
