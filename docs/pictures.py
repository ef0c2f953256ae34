"""Write the pictures of the README: ``PYTHONPATH=. python docs/pictures.py`` (root; Linux).

The script makes a host in a throwaway network namespace, with networks and containers. It writes the output of hawse
commands there as pictures. To add a picture, add a line to PICTURES.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from docs.session import exported

HERE = Path(__file__).parent
NAMESPACE = f"hwpic{os.getpid()}"
COLUMNS = 118
WIRE = """
ip link set lo up
ip link add ext0 type veth peer name wire
ip addr add 192.168.99.11/24 dev ext0
ip link set wire up
ip link set ext0 up
ip route add default via 192.168.99.99
"""
SETUP = """
network create --subnet 172.30.0.0/24 front
network create --internal --subnet 172.30.1.0/24 back
network create --subnet 172.30.2.0/24 --ipv6 --subnet fd30::/64 lab
network create -d macvlan -o parent=ext0 --subnet 192.168.99.0/24 --gateway 192.168.99.1 lan
run -d --name web --network front --network-alias www -p 8080:80 hostfs sleep 1d
run -d --name proxy --network front -p 80:80 -p 443:443 hostfs sleep 1d
run -d --name db --network back --network-alias store hostfs sleep 1d
run -d --name cache --network back hostfs sleep 1d
run -d --name probe --network lab -p 127.0.0.1:9000:9000/udp hostfs sleep 1d
run -d --name camera --network lan --ip 192.168.99.40 hostfs sleep 1d
network connect back web
"""
RESOLVER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
while True:
    query, client = server.recvfrom(512)
    server.sendto(query[:2] + bytes([query[2] | 0x80]) + query[3:], client)
"""
DAMAGE = """
ip link set $(hawse_bridge front) down
nft add table inet corporate
nft add chain inet corporate forward { type filter hook forward priority 0\\; }
nft add rule inet corporate forward ip daddr 172.30.2.0/24 drop
"""


class Host:
    """A host with its own network namespace and its own directories."""

    def __init__(self, directory: Path) -> None:
        config = directory / "daemon.json"
        config.write_text('{"heal": false}')
        (directory / "root").mkdir(mode=0o700)
        self.directory = directory
        self.environment = {
            **os.environ, "HAWSE_ROOT": f"{directory}/root", "HAWSE_RUN": f"{directory}/run",
            "HAWSE_CONFIG": str(config), "HAWSE_WARM": "off", "PYTHONPATH": str(HERE.parent), "TERM": "xterm-256color",
            "COLUMNS": str(COLUMNS),
        }  # fmt: skip

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a program in the host's network namespace and return its stdout.

        With ``check``, raises RuntimeError if the program fails.
        """
        command = ["ip", "netns", "exec", NAMESPACE, *argv]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{argv}: {done.stderr}")
        return done.stdout

    def hawse(self, *argv: str, check: bool = True) -> str:
        """Run a command of hawse as `run` does, and return its stdout."""
        return self.run(sys.executable, "-m", "cli", *argv, check=check)

    def on_terminal(self, *argv: str) -> str:
        """Run a command of hawse on a terminal of `COLUMNS` columns and return its output with colours.

        Its stderr, which shows the progress of a slow command, is discarded.
        """
        script = f"stty columns {COLUMNS} rows 60; exec {sys.executable} -m cli {' '.join(argv)} 2> /dev/null"
        return self.run("script", "-qec", script, "/dev/null", check=False)


@contextmanager
def a_host() -> Iterator[Host]:
    """Make the host with its networks and containers; everything is removed when the ``with`` block ends."""
    directory, settings = Path(tempfile.mkdtemp(prefix="hawse-pictures-")), Path("/etc/netns") / NAMESPACE
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    try:
        host = Host(directory)
        host.run("sh", "-ec", WIRE)
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        subprocess.Popen(["ip", "netns", "exec", NAMESPACE, sys.executable, "-c", RESOLVER])
        for line in SETUP.strip().splitlines():
            host.hawse(*line.split())
        yield host
        host.hawse("rm", "-f", *host.hawse("ps", "-aq").split())
    finally:
        pids = subprocess.run(["ip", "netns", "pids", NAMESPACE], capture_output=True, text=True, check=False).stdout
        for pid in pids.split():
            subprocess.run(["kill", "-9", pid], check=False)
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=False)
        for made in (directory, settings):
            shutil.rmtree(made, ignore_errors=True)


def network_map(host: Host) -> str:
    """Return the drawing of ``hawse network map --format svg``."""
    return host.hawse("network", "map", "--format", "svg").replace(os.uname().nodename, "lab")


def doctor(host: Host) -> str:
    """Damage the host, and return an SVG of the output of ``hawse doctor`` on a terminal."""
    identity = host.hawse("network", "inspect", "-f", "{{.Id}}", "front")[:12]
    host.run("sh", "-ec", f"hawse_bridge() {{ echo br-{identity}; }}\n{DAMAGE}")
    return screenshot(host, "doctor")


def trace(host: Host) -> str:
    """Return an SVG of the output of ``hawse trace`` for a published port that the damage has made unreachable."""
    return screenshot(host, "trace", "outside", "published:8080/tcp")


def screenshot(host: Host, *argv: str) -> str:
    """Return an SVG of a terminal in which a command of hawse has run."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"# hawse {' '.join(argv)}", style="bold"))
    shown = host.on_terminal(*argv).replace(f"{host.directory}/root", "/var/lib/hawse")
    console.print(Text.from_ansi(re.sub(r"(Linux \d+\.\d+)[^,]*", r"\1", shown)))
    return exported(console, f"hawse-{argv[0]}")


PICTURES: dict[str, Callable[[Host], str]] = {"map.svg": network_map, "doctor.svg": doctor, "trace.svg": trace}
"""The pictures, in the order in which they are made. `doctor` damages the host, and `trace` shows this damage."""


def main() -> None:
    """Write all pictures, or only the pictures whose file names are given as arguments.

    All pictures are made in each case, because `trace` shows the damage that `doctor` makes.
    """
    with a_host() as host:
        for name, make in PICTURES.items():
            picture = make(host)
            if name in (sys.argv[1:] or PICTURES):
                (HERE / name).write_text(picture)
                print(f"wrote {HERE / name}")


if __name__ == "__main__":
    main()
