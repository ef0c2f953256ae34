"""docker-py works unmodified with hawse's API."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import docker
import pytest

from api.docker.execs import READABLE_SECONDS
from tests.conftest import until


def test_client_and_server_agree_on_a_version(client):
    assert client.ping() is True
    assert client.version()["ApiVersion"] == client.api._version == "1.45"
    assert client.info()["ServerVersion"] == "26.1.5"


def test_networks_are_created_listed_and_removed(client):
    pool = docker.types.IPAMPool(subnet="10.82.0.0/24", gateway="10.82.0.254", aux_addresses={"a": "10.82.0.5"})
    network = client.networks.create(
        "n1", driver="bridge", labels={"a": "b"}, ipam=docker.types.IPAMConfig(pool_configs=[pool])
    )
    assert client.networks.get("n1").id == network.id
    assert network.attrs["IPAM"]["Config"] == [
        {"Subnet": "10.82.0.0/24", "Gateway": "10.82.0.254", "AuxiliaryAddresses": {"a": "10.82.0.5"}}
    ]
    assert [n.name for n in client.networks.list(filters={"label": "a=b"})] == ["n1"]
    with pytest.raises(docker.errors.APIError) as refused:
        client.networks.create("n2", ipam=docker.types.IPAMConfig(pool_configs=[pool]))
    assert refused.value.explanation == "Pool overlaps with other one on this address space"
    network.remove()
    with pytest.raises(docker.errors.NotFound):
        client.networks.get("n1")
    client.networks.create("n3")
    assert client.networks.prune()["NetworksDeleted"] == ["n3"]


def test_a_container_joins_only_the_networks_of_its_networking_config(client):
    client.networks.create("n1")
    client.networks.create("n2")
    both = {name: client.api.create_endpoint_config() for name in ("n1", "n2")}
    one = {"n1": both["n1"]}
    modes = ((one, "default"), (one, "n2"), (one, client.networks.get("n1").id), (both, "default"), ({}, "n2"))
    joined = []
    for endpoints, mode in modes:
        created = client.api.create_container(
            "bb", ["sleep", "300"], networking_config=client.api.create_networking_config(endpoints),
            host_config=client.api.create_host_config(network_mode=mode),
        )  # fmt: skip
        client.api.start(created)
        settings = client.api.inspect_container(created)["NetworkSettings"]
        joined.append(" ".join(name for name, each in settings["Networks"].items() if each["IPAddress"]))
    assert joined == ["n1", "n1", "n1", "n1 n2", "n2"]


def test_containers_and_their_networks(client):
    network = client.networks.create("n1", ipam=docker.types.IPAMConfig(
        pool_configs=[docker.types.IPAMPool(subnet="10.83.0.0/24")]
    ))  # fmt: skip
    endpoint = client.api.create_endpoint_config(ipv4_address="10.83.0.7", aliases=["web"])
    container = client.containers.create(
        "bb", ["sleep", "300"], name="c1", ports={"80/tcp": 8082, "81/udp": ("127.0.0.1", 8083), "82": None},
        network="n1", networking_config={"n1": endpoint}, environment={"A": "1"}, labels=["x"],
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 3},
        volumes={"/tmp": {"bind": "/host", "mode": "ro"}},
    )  # fmt: skip
    container.start()
    container.reload()
    assert container.status == "running"
    settings = container.attrs["NetworkSettings"]
    assert settings["Networks"]["n1"]["IPAddress"] == "10.83.0.7"
    assert settings["Ports"]["80/tcp"][0] == {"HostIp": "0.0.0.0", "HostPort": "8082"}
    assert settings["Ports"]["81/udp"] == [{"HostIp": "127.0.0.1", "HostPort": "8083"}]
    assert int(container.ports["82/tcp"][0]["HostPort"]) > 0
    other = client.networks.create("n2")
    other.connect(container, aliases=["again"])
    other.reload()
    assert [c.name for c in other.containers] == ["c1"]
    assert [c.name for c in client.containers.list(filters={"network": "n2"})] == ["c1"]
    other.disconnect(container)
    with pytest.raises(docker.errors.APIError, match="has active endpoints"):
        network.remove()
    assert container.update(restart_policy={"Name": "always"}) == {"Warnings": None}
    container.rename("c2")
    container.stop(timeout=0)
    with pytest.raises(docker.errors.APIError) as refused:
        container.kill()
    assert refused.value.status_code == 409
    container.remove()
    assert client.containers.list(all=True) == []


def test_the_address_and_port_of_an_ended_container_can_be_used_at_once(client):
    pool = docker.types.IPAMPool(subnet="10.84.0.0/24")
    client.networks.create("n1", ipam=docker.types.IPAMConfig(pool_configs=[pool]))
    address = {"n1": client.api.create_endpoint_config(ipv4_address="10.84.0.9")}
    options = {"network": "n1", "networking_config": address, "ports": {"80/tcp": 8084}}
    first, second = (client.containers.create("bb", ["sleep", "0.3"], **options) for _ in range(2))
    first.start()
    until(lambda: client.api.inspect_container(first.id)["State"]["Status"] == "exited")
    second.start()
    state = client.api.inspect_container(second.id)["State"]
    assert (state["Error"], state["ExitCode"]) == ("", 0)


@pytest.mark.parametrize("image", ["bb", "hostfs"])
@pytest.mark.parametrize("tty", [False, True])
def test_a_running_exec_has_its_pid(client, image, tty):
    api, container = client.api, client.containers.run(image, ["sleep", "300"], detach=True)
    command = api.exec_create(container.id, ["sleep", "17"], tty=tty)["Id"]
    assert api.exec_inspect(command)["Pid"] == 0
    assert api.inspect_container(container.id)["ExecIDs"] == [command]
    api.exec_start(command, detach=True)
    pid = until(lambda: api.exec_inspect(command)["Pid"])
    until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\0" + b"17\0")
    os.kill(pid, 9)
    until(lambda: api.exec_inspect(command)["ExitCode"] == 137)
    assert api.exec_inspect(command)["Pid"] == 0
    assert api.inspect_container(container.id)["ExecIDs"] is None


def test_an_exec_of_a_stopped_container_cannot_be_started_or_resized(client):
    api, container = client.api, client.containers.run("bb", ["sleep", "300"], detach=True)
    ended, waiting = (api.exec_create(container.id, ["sh", "-c", "exit 3"])["Id"] for _ in range(2))
    api.exec_start(ended)
    container.kill()
    for use in (lambda: api.exec_start(ended), lambda: api.exec_resize(ended, 1, 1)):
        with pytest.raises(docker.errors.APIError, match=f"container {container.id} is not running") as refused:
            use()
        assert refused.value.status_code == 409
    with pytest.raises(docker.errors.NotFound, match=f"No such exec instance: {waiting}"):
        api.exec_start(waiting)
    assert api.exec_inspect(ended)["ExitCode"] == 3
    container.start()
    assert api.exec_start(ended) == f"Error: Exec command {ended} has already run\r\n".encode()
    with pytest.raises(docker.errors.NotFound, match=f"process does not exist {ended}: not found"):
        api.exec_resize(ended, 1, 1)
    with pytest.raises(docker.errors.NotFound, match=f"No such exec instance: {waiting}"):
        api.exec_start(waiting)
    container.remove(force=True)
    time.sleep(READABLE_SECONDS)
    for use in (api.exec_inspect, api.exec_start, partial(api.exec_resize, height=1, width=1)):
        with pytest.raises(docker.errors.NotFound, match=f"No such exec instance: {ended}"):
            use(ended)


def test_the_exit_code_of_an_exec_is_readable_after_the_removal_that_has_ended_it(client):
    """As with Docker, ``docker exec`` then ends with the exit code 137."""
    api, container = client.api, client.containers.run("bb", ["sleep", "300"], detach=True)
    command = api.exec_create(container.id, ["sleep", "300"])["Id"]
    with ThreadPoolExecutor() as pool:
        output = pool.submit(api.exec_start, command)
        until(lambda: [process[-1] for process in container.top()["Processes"]] == ["sleep 300"] * 2)
        container.remove(force=True)
        output.result(10)
    assert api.exec_inspect(command)["ExitCode"] == 137


def test_attach_without_stream_gives_the_output_so_far(client):
    container = client.containers.run("bb", ["sh", "-c", "echo out; echo err >&2; sleep 300"], detach=True)
    until(lambda: container.attach(logs=True) == b"out\nerr\n")
    assert container.attach(logs=True, stderr=False) == b"out\n"
    assert container.attach() == b"", "as with Docker, only logs=True gives it"


def test_an_old_client_gets_its_version_s_answers(service, client):
    old = docker.DockerClient(base_url=service.url, version="1.43")
    client.networks.create("n1")
    container = old.containers.create("bb", "sleep 300", name="c1", network="n1", mac_address="02:42:00:00:00:09")
    container.start()
    container.reload()
    settings = container.attrs["NetworkSettings"]["Networks"]["n1"]
    assert settings["MacAddress"] == "02:42:00:00:00:09"
    assert settings["Aliases"] == [container.short_id]
    assert client.api.inspect_container("c1")["NetworkSettings"]["Networks"]["n1"]["Aliases"] is None
    old.close()
