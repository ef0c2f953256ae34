"""docker compose works unmodified with hawse's API."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.conftest import until

PROJECT = """
name: shop
services:
  db:
    image: bb
    command: sh -c 'while true; do echo db here | nc -l -p 7000; done'
    networks:
      back:
        ipv4_address: 10.77.1.10
        aliases: [database]
  web:
    image: bb
    command: sh -c 'echo starting; httpd -f -p 80 -h /data'
    depends_on: [db]
    ports: ["18080:80"]
    volumes: ["./data:/data"]
    networks:
      front: {}
      back: {aliases: [www]}
  worker:
    image: bb
    command: sleep 1000
    scale: 3
    networks: [back]
networks:
  front: {}
  back:
    ipam: {config: [{subnet: 10.77.1.0/24}]}
"""
ONCE = """
name: once
services:
  once: {image: bb, command: sh -c 'echo said; sleep 0.5; exit 4'}
  other: {image: bb, command: sleep 1000, stop_grace_period: 0s}
  host: {image: hostfs, command: sleep 1000, stop_grace_period: 0s}
  tagged: {image: "hostfs:latest", pull_policy: never, command: sleep 1000, stop_grace_period: 0s}
"""


@pytest.fixture
def compose(service, tmp_path):
    """Return a function that runs docker-compose on the project."""
    (tmp_path / "compose.yaml").write_text(PROJECT)
    (tmp_path / "once.yaml").write_text(ONCE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "greeting").write_text("hi there\n")
    environment = {**os.environ, "DOCKER_HOST": service.url, "DOCKER_CONFIG": str(tmp_path)}

    def run(*argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(["docker-compose", *argv], cwd=tmp_path, env=environment, capture_output=True, text=True,
                              timeout=60, stdin=subprocess.DEVNULL)  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    yield run
    for file in ("compose.yaml", "once.yaml"):
        run("-f", file, "down", "-t", "0", check=False)


def test_a_project_s_life(service, compose):
    compose("up", "-d")
    shown = [json.loads(line) for line in compose("ps", "--format", "json").stdout.splitlines()]
    assert sorted(each["Name"] for each in shown) == [
        "shop-db-1", "shop-web-1", "shop-worker-1", "shop-worker-2", "shop-worker-3"
    ]  # fmt: skip
    assert {each["State"] for each in shown} == {"running"}
    until(
        lambda: service.host.run("curl", "-sf", "http://127.0.0.1:18080/greeting", check=False).stdout == "hi there\n"
    )
    assert compose("exec", "-T", "web", "nc", "-w", "1", "database", "7000").stdout == "db here\n"
    assert compose("exec", "-T", "worker", "wget", "-qO-", "http://www/greeting").stdout == "hi there\n"
    (db,) = json.loads(service.docker("inspect", "shop-db-1").stdout)
    assert db["NetworkSettings"]["Networks"]["shop_back"]["IPAddress"] == "10.77.1.10"
    assert "starting" in compose("logs", "web").stdout
    assert compose("exec", "-T", "db", "sh", "-c", "exit 5", check=False).returncode == 5
    assert compose("run", "--rm", "worker", "echo", "one-off").stdout == "one-off\n"
    again = compose("up", "-d", "--scale", "worker=1").stderr
    assert "Container shop-worker-3  Removed" in again and "Container shop-web-1  Running" in again
    compose("restart", "-t", "0", "web")
    until(
        lambda: service.host.run("curl", "-sf", "http://127.0.0.1:18080/greeting", check=False).stdout == "hi there\n"
    )
    compose("down", "-t", "0")
    assert service.docker("ps", "-aq").stdout == ""
    assert service.docker("network", "ls", "-q", "--filter", "type=custom").stdout == ""


def test_up_in_the_foreground_shows_output_and_ends_with_a_container(compose):
    done = compose("-f", "once.yaml", "up", "--abort-on-container-exit", "--exit-code-from", "once", check=False)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "said" in done.stdout
