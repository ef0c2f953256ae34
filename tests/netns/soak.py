"""Run random commands and random faults on one host, then check it.

Usage: ``python -m tests.netns.soak [SECONDS [CONTAINERS [SEED]]]`` (default: 600 seconds, 200 containers).

Four threads run commands: run, start, stop, restart, remove, connect and disconnect. Meanwhile the program damages the
host's network as another program could: it deletes bridges, addresses, routes and firewall rules. It also kills hawse's
resident processes, and fills the disk. No command is run to repair the damage. Then all faults end. Every connection
that should work must work, and every other connection must fail. After all containers and networks are removed, nothing
may be left.

The seed decides the commands and the faults; the times at which they happen depend on the machine. The program exits
with 1 and prints one line for each error. `tests.cluster.soak` does the same with overlay networks and several hosts.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from engine.agent import client
from tests.cluster.rest import addresses
from tests.cluster.rest import containers as running
from tests.conftest import COUNTER, InstalledHost, Peer
from tests.soak import Soak, settled, weighted

NETWORKS = {
    "red": (),
    "blue": ("--ipv6", "--subnet", "fd00:b::/64"),
    "closed": ("--internal",),
    "apart": ("-o", "com.docker.network.bridge.enable_icc=false"),
}
PUBLISHED = 5
"""Every ``PUBLISHED``-th container publishes its port 80."""
FIRST_PORT = 20000
WORKERS = 4
PATIENCE_SECONDS = 30.0
"""After the end of the faults, the host must be free of errors within this time."""
DISK_BYTES = 512 << 20
SAMPLE = 25
"""Number of containers whose connections to other containers are checked. Twice as many are checked from outside."""
CHECKS = 16
"""Number of containers that are checked at once. A check mostly waits for answers that do not come."""


class HostSoak(Soak):
    """One run on one host."""

    def __init__(self, host, size, seed):
        super().__init__(dict.fromkeys(range(WORKERS), host), seed, pauses=(1, 4), kills=(0.02, 0.5))
        self.host, self.size = host, size

    def prepare(self):
        (self.host.state / "www").mkdir(parents=True)
        (self.host.state / "www" / "index.html").write_text("hello")
        for name, options in NETWORKS.items():
            self.host.hawse("network", "create", *options, name)
        for number in range(self.size):
            self.host.hawse(*self.run_command(number, random.Random(number)))

    def run_command(self, number, dice):
        ports = ("-p", f"{FIRST_PORT + number}:80") if number % PUBLISHED == 0 else ()
        network = dice.choice(("red", "blue")) if ports else dice.choice(list(NETWORKS))
        policy = dice.choice(("no", "always"))
        server = ("busybox", "httpd", "-f", "-p", "80", "-h", str(self.host.state / "www"))
        return (
            "run", "-d", "--name", f"c{number}", "--restart", policy, "--network", network, *ports, "hostfs", *server,
        )  # fmt: skip

    def choose(self, worker, dice):
        number = dice.randrange(worker, self.size, WORKERS)
        name, network = f"c{number}", dice.choice(list(NETWORKS))
        return weighted(dice, (
            (8, self.run_command(number, dice)),
            (3, ("network", "connect", network, name)),
            (3, ("network", "disconnect", network, name)),
            (1, ("stop", "-t0", name)),
            (4, ("start", name)),
            (2, ("restart", "-t0", name)),
            (2, ("rm", "-f", name)),
            (1, ("exec", name, "true")),
            (1, ("ps", "-a")),
            (1, ("network", "inspect", network)),
        ))  # fmt: skip

    def fault(self, dice):
        fault = dice.choice(FAULTS)
        return fault.__name__, lambda: fault(self.host, dice)


# --------------------------------------------------------------------------------------------------- faults


def links(host, kind):
    """Return the names of hawse's interfaces of this kind on the host."""
    lines = host.sh(f"ip -br link show type {kind}", check=False).splitlines()
    names = [line.split()[0].partition("@")[0] for line in lines]
    return [name for name in names if name != "ext0"]


def on_link(kind, command):
    """Return a fault that runs a command with the name of a random interface of this kind."""

    def fault(host, dice):
        names = links(host, kind)
        if names:
            host.sh(command.format(dice.choice(names)), check=False)

    fault.__name__ = command.format(kind)
    return fault


def in_container(command):
    """Return a fault that runs a command in the network namespace of a random container."""

    def fault(host, dice):
        pids = [c["State"]["Pid"] for c in running(host)]
        if pids:
            subprocess.run(["nsenter", f"--net=/proc/{dice.choice(pids)}/ns/net", "sh", "-c", command], check=False)

    fault.__name__ = f"in a container: {command}"
    return fault


def on_host(command):
    """Return a fault that runs a command on the host."""

    def fault(host, _dice):
        host.sh(command, check=False)

    fault.__name__ = command
    return fault


def kill_agent(host, _dice):
    for pid in residents(host, "agent"):
        kill(pid)


def kill_supervisor(host, _dice):
    for pid in residents(host, "supervisor"):
        kill(pid)


def kill_container(host, dice):
    pids = [pid for c in running(host) if (pid := c["State"]["Pid"])]  # 0 if the container has ended meanwhile
    if pids:
        kill(dice.choice(pids))


def delete_namespace_files(host, _dice):
    for file in (host.run_dir / "netns").glob("*"):
        subprocess.run(["umount", "-l", str(file)], capture_output=True, check=False)
        with suppress(OSError):
            file.unlink()


def fill_disk(host, dice):
    filler = host.state / f"h{host.index}" / "filler"
    with suppress(OSError), open(filler, "wb") as file:
        while True:
            file.write(bytes(1 << 20))
    time.sleep(dice.uniform(1, 3))
    filler.unlink()


def kill(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


FAULTS = (
    on_link("bridge", "ip link del {}"),
    on_link("bridge", "ip link set {} down"),
    on_link("bridge", "ip addr flush dev {}"),
    on_link("veth", "ip link del {}"),
    on_link("veth", "ip link set {} down"),
    on_link("veth", "ip link set {} nomaster"),
    in_container("ip addr flush dev eth0"),
    in_container("ip route del default"),
    in_container("ip link set eth0 down"),
    in_container("nft flush ruleset"),
    on_host("nft flush ruleset"),
    on_host("nft delete table inet hawse"),
    on_host("nft flush chain inet hawse forward"),
    on_host("sysctl -qw net.ipv4.ip_forward=0"),
    kill_agent,
    kill_supervisor,
    kill_container,
    delete_namespace_files,
    fill_disk,
)


# --------------------------------------------------------------------------------------------------- checks


def residents(host, kind):
    """Return the pids of the host's agent or supervisor."""
    if kind == "agent":
        answer = client.ask(host.run_dir, "status", 5)
        return [json.loads(answer)["pid"]] if answer and answer != "late" else []
    mark, pids = f"HAWSE_TEST_HOST={host.name}".encode(), []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text().startswith("hawse-supervis"):
                pids += [int(entry.name)] if mark in (entry / "environ").read_bytes().split(b"\0") else []
    return pids


def usage(host):
    """Return the memory (KiB) and the number of descriptors of each resident process."""
    used = {}
    for kind in ("agent", "supervisor"):
        for pid in residents(host, kind)[:1]:
            with suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1]
                used[kind] = int(status.split()[0]), len(os.listdir(f"/proc/{pid}/fd"))
    return used


def errors(host, seed):
    """Return a line for each connection that fails but should work, and for each that works but should fail."""
    containers, dice = running(host), random.Random(seed)
    dice.shuffle(containers)
    scripts = [probes(container, containers, dice) for container in containers[:SAMPLE]]
    outside = containers[: 2 * SAMPLE]
    with ThreadPoolExecutor(CHECKS) as pool:
        problems = [*pool.map(inside, containers, scripts), *pool.map(from_outside, [host] * len(outside), outside)]
    return [line for lines in problems for line in lines]


def probes(container, containers, dice):
    """Return a shell script that pings other containers from one container, by name and by address.

    The script prints a line for each ping with a wrong result.
    """
    known = addresses(container)
    may, must_not, script = [], {}, []
    others = [c for c in containers if c is not container]
    for other in dice.sample(others, min(8, len(others))):
        shared = [network for network in addresses(other) if network in known]
        if connected := [addresses(other)[network] for network in shared if network != "apart"]:
            # A name resolves to the address on the first common network in the alphabet. This is "apart", if both
            # containers are on it, and the containers of "apart" do not reach each other.
            may += connected if "apart" in shared else [other["Name"][1:], *connected]
        elif "closed" in known or not shared:
            for network, address in addresses(other).items():
                must_not[address] = network
    script += [f"busybox ping -c1 -W2 {target} >/dev/null 2>&1 || echo lost {target}" for target in may]
    script += [f"busybox ping -c1 -W1 {a} >/dev/null 2>&1 && echo open {a}" for a in list(must_not)[:2]]
    return "\n".join([*script, "true"])


def inside(container, script):
    """Run the script of `probes` in a container, and return a line for each wrong connection."""
    argv = ["nsenter", "-t", str(container["State"]["Pid"]), "-n", "-m", "sh", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    networks = list(addresses(container))
    return [f"{container['Name']} on {networks}: {line}" for line in (done.stdout + done.stderr).splitlines()]


def from_outside(host, container):
    """Return a line for each published port that another machine does not reach, or for an unpublished port that it
    reaches.
    """
    name, ports = container["Name"], container["NetworkSettings"]["Ports"] or {}
    published = [b["HostPort"] for bindings in ports.values() for b in bindings or () if b["HostIp"] != "::"]
    problems = []
    for port in set(published):
        done = host.peer.run("busybox", "wget", "-q", "-O-", "-T3", f"http://{host.address}:{port}", check=False)
        if done.stdout != "hello":
            problems.append(f"{name}: published port {port} does not answer: {done.stderr.strip()}")
    for address in () if published else list(addresses(container).values())[:1]:
        url = f"http://{address}:80"
        if host.peer.run("busybox", "wget", "-q", "-O-", "-T1", url, check=False).stdout == "hello":
            problems.append(f"{name}: reachable from outside at {address}, but not published")
    return problems


def left_over(host):
    """Remove all containers and networks, and return a line for each object that is left on the host."""
    ids = host.hawse("ps", "-aq", check=False).stdout.split()
    if ids:
        host.hawse("rm", "-f", *ids, check=False, timeout=300)
    for name in NETWORKS:
        host.hawse("network", "rm", name, check=False)
    lines = [
        line for line in host.sh("ip -br link").splitlines() if line.split("@")[0].split()[0] not in ("lo", "ext0")
    ]
    lines = [line for line in lines if not line.startswith(("docker0", "hawse0"))]
    lines += [str(file) for file in (host.root / "containers").glob("[!.]*")]
    return [*lines, *(f"still running: {pid}" for pid in host.container_processes())]


def grown(before, after):
    """Return a line for each resident process whose memory or descriptors have grown."""
    for kind, (memory, descriptors) in after.items():
        old_memory, old_descriptors = before.get(kind, (memory, descriptors))
        if memory > 1.5 * old_memory + 8192 or descriptors > 1.5 * old_descriptors + 20:
            yield f"{kind} has grown from {old_memory} KiB and {old_descriptors} descriptors to {memory}, {descriptors}"


def main(seconds=600, size=200, seed=None):
    seed = int(time.time()) if seed is None else seed
    print(f"soak: {seconds} seconds, {size} containers, seed {seed}", flush=True)
    peer = Peer(f"hws{os.getpid()}p{next(COUNTER)}", ipv6=False)
    peer.sh("ip route add 172.16.0.0/12 via 192.168.99.11")
    with tempfile.TemporaryDirectory() as directory:
        disk = Path(directory) / "h1"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)], check=True)
        host = InstalledHost(f"hws{os.getpid()}h{next(COUNTER)}", peer, Path(directory))
        try:
            soak = HostSoak(host, size, seed)
            soak.prepare()
            before = usage(host)
            soak.say(f"{len(running(host))} containers run: {before}")
            soak.run(seconds)
            wrong = settled(lambda: errors(host, seed), PATIENCE_SECONDS)
            after = usage(host)
            soak.say(f"faults have ended, {len(running(host))} containers run: {len(wrong)} errors; {after}")
            left = settled(lambda: left_over(host), PATIENCE_SECONDS)
            problems = [*soak.problems, *wrong, *grown(before, after), *left]
            print("\n".join([*problems, f"{dict(soak.done)}: {len(problems)} errors (seed {seed})"]))
            return 1 if problems else 0
        finally:
            host.delete()
            peer.delete()
            subprocess.run(["umount", "-l", str(disk)], check=False)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:4])))
