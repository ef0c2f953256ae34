"""aiodocker works unmodified with hawse's API."""

from __future__ import annotations

import asyncio
import contextlib

import aiodocker
import pytest

from tests.conftest import until


async def networks(docker: aiodocker.Docker) -> None:
    ipam = {"Config": [{"Subnet": "10.84.0.0/24"}]}
    network = await docker.networks.create({"Name": "n1", "Driver": "bridge", "IPAM": ipam, "Labels": {"a": "b"}})
    assert (await network.show())["IPAM"]["Config"] == [{"Subnet": "10.84.0.0/24"}]
    assert [n["Name"] for n in await docker.networks.list(filters={"label": "a=b"})] == ["n1"]
    with pytest.raises(aiodocker.DockerError) as refused:
        await docker.networks.create({"Name": "n2", "IPAM": ipam})
    assert (refused.value.status, refused.value.message) == (403, "Pool overlaps with other one on this address space")


async def a_container(docker: aiodocker.Docker, host) -> None:
    container = await docker.containers.create_or_replace("web", {
        "Image": "bb", "Cmd": ["sh", "-c", "echo out; echo err >&2; httpd -f -p 80"],
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"NetworkMode": "n1", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8084"}]}},
    })  # fmt: skip
    await container.start()
    assert (await container.show())["NetworkSettings"]["Networks"]["n1"]["IPAddress"] == "10.84.0.2"
    assert (await container.port(80))[0] == {"HostIp": "0.0.0.0", "HostPort": "8084"}
    until(lambda: "404" in host.sh("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8084/", check=False))
    assert [(await c.show())["Name"] for c in await docker.containers.list(filters={"network": ["n1"]})] == ["/web"]
    assert await container.log(stdout=True) == ["out\n"] and await container.log(stderr=True) == ["err\n"]
    command = await container.exec(["sh", "-c", "read line; echo $line; echo err >&2; exit 5"], stdin=True)
    async with command.start() as stream:
        await stream.write_in(b"data\n")
        messages = [message async for message in messages_of(stream)]
    assert b"".join(m.data for m in messages if m.stream == 1) == b"data\n"
    assert b"".join(m.data for m in messages if m.stream == 2) == b"err\n"
    assert (await command.inspect())["ExitCode"] == 5
    other = await docker.networks.create({"Name": "n2"})
    await other.connect({"Container": "web", "EndpointConfig": {"Aliases": ["again"]}})
    assert "again" in (await container.show())["NetworkSettings"]["Networks"]["n2"]["Aliases"]
    await other.disconnect({"Container": "web"})
    stats = await container.stats(stream=False)
    assert stats[0]["networks"]["eth0"]["rx_packets"] > 0
    await container.stop(t=0)
    assert (await container.wait())["StatusCode"] == 137
    await container.delete()


async def messages_of(stream):
    while message := await stream.read_out():
        yield message


async def one_session(url: str, host) -> list[tuple[str, str]]:
    """Use the API as a program does; return type and action of each event that occurred meanwhile."""
    async with aiodocker.Docker(url=url) as docker:
        assert (await docker.version())["ApiVersion"] == "1.45"
        subscriber = docker.events.subscribe()
        await networks(docker)
        await a_container(docker, host)
        await (await docker.networks.get("n1")).delete()
        with contextlib.suppress(aiodocker.DockerError):
            await docker.containers.get("web")
            raise AssertionError("web is still there")
        events = []
        while not events or events[-1] != ("network", "destroy"):
            event = await asyncio.wait_for(subscriber.get(), 10)
            events.append((event["Type"], event["Action"]))
        return events


def test_a_program_with_aiodocker(service):
    events = asyncio.run(one_session(service.url, service.host))
    expected = [
        ("network", "create"), ("container", "create"), ("network", "connect"), ("container", "start"),
        ("network", "create"), ("network", "connect"), ("network", "disconnect"), ("container", "kill"),
        ("container", "kill"), ("container", "die"), ("network", "disconnect"), ("container", "stop"),
        ("container", "destroy"), ("network", "destroy"),
    ]  # fmt: skip
    assert sorted(e for e in events if not e[1].startswith("exec")) == sorted(expected)
