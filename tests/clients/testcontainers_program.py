"""A program that uses testcontainers. It prints one JSON document of what it has seen; DOCKER_HOST names the API."""

from __future__ import annotations

import json
import urllib.request

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

SERVE = "echo content > /index.html; echo ready; httpd -f -p 80 -h /"


def main() -> None:
    """Start a web server and a second container on one network. Request a page from that container and from
    the host.
    """
    with Network() as network:
        web = DockerContainer("bb").with_command(["sh", "-c", SERVE]).with_exposed_ports(80)
        web = web.with_network(network).with_network_aliases("web").with_env("A", "1")
        other = DockerContainer("bb").with_command("sleep 300").with_network(network)
        with web.waiting_for(LogMessageWaitStrategy("ready")), other:
            url = f"http://{web.get_container_host_ip()}:{web.get_exposed_port(80)}/"
            seen = {
                "from the host": urllib.request.urlopen(url, timeout=10).read().decode(),
                "by its alias": other.exec("wget -qO- http://web/").output.decode(),
                "environment": web.exec(["sh", "-c", "echo $A; exit 3"]).output.decode(),
                "logs": [part.decode() for part in web.get_logs()],
                "name": network.name,
            }
    print(json.dumps(seen))


main()
