"""Bench: connect a bare network namespace to a network and publish one port, as netavark does for podman."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmark.hosts import hosts, unique
from tests.benchmark.products import Hawse, products
from tests.benchmark.results import Row, Settings, Table
from tests.benchmark.runner import Runner
from tests.benchmark.turns import turns
from tests.conftest import Netns

NETAVARK = Path("/usr/lib/podman/netavark")


def run(settings: Settings, state: Path) -> list[Table]:
    """Measure the times to connect a namespace to a network and to disconnect the namespace.

    The products take turns. Each product's network already has one connected namespace.
    """
    rows = [Row("connect with a port"), Row("disconnect")]
    ours, theirs = state / "ours", state / "theirs"
    ours.mkdir()
    theirs.mkdir()
    with products(ours, Hawse) as (_, [hawse]), hosts(theirs, 1) as (_, [host]):
        contenders = {"hawse": Ours(hawse), **({"netavark": Theirs(host, theirs)} if NETAVARK.exists() else {})}
        for contender in contenders.values():
            contender.connect(0)
        for number, order in turns(list(contenders), settings.pick(15, 3)):
            for name in order:
                rows[0].add(name, contenders[name].connect(number + 1))
                rows[1].add(name, contenders[name].disconnect(number + 1))
        for contender in contenders.values():
            contender.close()
    title = "A bare namespace onto a network, with one published port"
    return [Table("attach", title, "ms", tuple(contenders), rows, ratio=("hawse", "netavark"))]


class Contender:
    """A product under test, and the network namespaces that the bench connects to the product's network."""

    def __init__(self) -> None:
        self.sandboxes: dict[int, Netns] = {}

    def sandbox(self, number: int) -> Netns:
        if number not in self.sandboxes:
            self.sandboxes[number] = Netns(unique("s"))
        return self.sandboxes[number]

    def close(self) -> None:
        for sandbox in self.sandboxes.values():
            sandbox.delete()


class Ours(Contender):
    def __init__(self, hawse: Hawse) -> None:
        super().__init__()
        self.hawse = hawse
        hawse("network", "create", "app")

    def connect(self, number: int) -> float:
        where = f"netns:{self.sandbox(number).name}"
        return self.hawse("network", "connect", "-p", f"{8000 + number}:80", "app", where).seconds * 1000

    def disconnect(self, number: int) -> float:
        return self.hawse("network", "disconnect", "app", f"netns:{self.sandbox(number).name}").seconds * 1000


class Theirs(Contender):
    def __init__(self, host: Netns, state: Path) -> None:
        super().__init__()
        self.state, self.runner = state, Runner(host, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": "."})

    def connect(self, number: int) -> float:
        return self._call("setup", number)

    def disconnect(self, number: int) -> float:
        return self._call("teardown", number)

    def close(self) -> None:
        self.runner.stop()
        super().close()

    def _call(self, verb: str, number: int) -> float:
        file = self.state / f"{number}.json"
        file.write_text(json.dumps(self._request(number)))
        argv = (str(NETAVARK), "--config", str(self.state), "--file", str(file), verb, self.sandbox(number).path)
        return self.runner(*argv).seconds * 1000

    def _request(self, number: int) -> dict[str, object]:
        network = {
            "name": "app", "id": "a" * 64, "driver": "bridge", "network_interface": "podman1", "internal": False,
            "subnets": [{"subnet": "10.90.0.0/16", "gateway": "10.90.0.1"}], "ipv6_enabled": False,
            "dns_enabled": False, "ipam_options": {"driver": "host-local"}, "options": {},
        }  # fmt: skip
        port = {"host_ip": "", "container_port": 80, "host_port": 8000 + number, "range": 1, "protocol": "tcp"}
        member = {"interface_name": "eth0", "static_ips": [f"10.90.1.{number + 1}"]}
        return {
            "container_id": f"{number:064x}", "container_name": f"c{number}", "port_mappings": [port],
            "networks": {"app": member}, "network_info": {"app": network},
        }  # fmt: skip
