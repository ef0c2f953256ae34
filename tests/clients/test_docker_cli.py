"""docker's own command line works unmodified with hawse's API."""

from __future__ import annotations

import json

NETWORKS = (
    "NAME      DRIVER    SCOPE\nbridge    bridge    local\nhost      host      local\nnone      null      local\n"
)


def test_networks_are_created_inspected_and_removed(service):
    docker = service.docker
    listed = docker("network", "ls", "--format", "table {{.Name}}\t{{.Driver}}\t{{.Scope}}").stdout
    assert listed == NETWORKS
    created = docker("network", "create", "--subnet", "10.80.0.0/24", "--label", "a=b", "--internal", "n1").stdout
    (shown,) = json.loads(docker("network", "inspect", "n1").stdout)
    assert (shown["Id"], shown["Internal"], shown["Labels"]) == (created.strip(), True, {"a": "b"})
    assert shown["IPAM"] == {"Driver": "default", "Options": {}, "Config": [{"Subnet": "10.80.0.0/24"}]}
    again = docker("network", "create", "n1", check=False)
    assert again.stderr == "Error response from daemon: network with name n1 already exists\n"
    assert docker("network", "rm", "n1").stdout == "n1\n"
    assert docker("network", "rm", "n1", check=False).stderr == "Error response from daemon: network n1 not found\n"
    docker("network", "create", "n2")
    assert docker("network", "prune", "-f").stdout == "Deleted Networks:\nn2\n\n"


def test_a_container_s_life(service):
    docker = service.docker
    docker("network", "create", "n1")
    docker("network", "create", "--subnet", "10.81.0.0/24", "n2")
    docker("create", "--name", "c1", "--network", "n1", "--network-alias", "web", "-p", "8080:80", "-e", "A=1",
           "-l", "x=y", "bb", "sleep", "300")  # fmt: skip
    taken = docker("create", "--name", "c1", "bb", "true", check=False)
    assert taken.stderr.startswith(
        'Error response from daemon: Conflict. The container name "/c1" is already in use by'
    )
    docker("network", "connect", "--ip", "10.81.0.9", "--alias", "other", "n2", "c1")
    assert docker("start", "c1").stdout == "c1\n"
    assert docker("port", "c1").stdout == "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"
    (shown,) = json.loads(docker("inspect", "c1").stdout)
    networks = shown["NetworkSettings"]["Networks"]
    assert networks["n2"]["IPAddress"] == "10.81.0.9" and "web" in networks["n1"]["DNSNames"]
    assert docker("ps", "--format", "{{.Names}} {{.Image}} {{.State}} {{.Ports}}").stdout == (
        "c1 bb running 0.0.0.0:8080->80/tcp, :::8080->80/tcp\n"
    )
    docker("network", "disconnect", "n2", "c1")
    busy = docker("network", "rm", "n1", check=False)
    assert "has active endpoints" in busy.stderr
    docker("rename", "c1", "renamed")
    docker("update", "--restart", "always", "renamed")
    assert docker("inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", "renamed").stdout == "always\n"
    docker("restart", "-t", "0", "renamed")
    docker("kill", "renamed")
    docker("stop", "-t", "0", "renamed")
    running = docker("kill", "renamed", check=False)
    assert running.stderr.endswith("is not running\n")
    assert (
        docker("ps", "-a", "--filter", "name=renamed", "--format", "{{.Names}} {{.State}}").stdout == "renamed exited\n"
    )
    assert docker("rm", "renamed").stdout == "renamed\n"
    missing = docker("inspect", "renamed", check=False)
    assert (missing.returncode, missing.stderr) == (1, "Error: No such object: renamed\n")


def test_start_and_stop_report_whether_they_changed_anything(service):
    service.docker("create", "--name", "c1", "bb", "sleep", "300")
    assert [service.ask("POST", "/containers/c1/start").status for _ in range(2)] == [204, 304]
    assert [service.ask("POST", "/containers/c1/stop?t=0").status for _ in range(2)] == [204, 304]


def test_a_container_that_cannot_start_says_why(service):
    service.docker("create", "--name", "c1", "-p", "8081:80", "bb", "sleep", "300")
    service.docker("start", "c1")
    service.docker("create", "--name", "c2", "-p", "8081:80", "bb", "sleep", "300")
    failed = service.docker("start", "c2", check=False)
    assert "Bind for 0.0.0.0:8081 failed: port is already allocated" in failed.stderr
    service.docker("create", "--name", "c3", "bb", "/no/such/program")
    failed = service.ask("POST", "/containers/c3/start")
    assert failed.status == 400 and "no such file or directory" in failed.message


def test_settings_without_effect_are_named(service):
    created = service.docker("create", "--name", "c1", "--memory", "10m", "bb", "true")
    assert created.stderr == "WARNING: hawse ignores Memory\n"
    refused = service.docker("create", "--device", "/dev/null", "bb", "true", check=False)
    assert refused.stderr == "Error response from daemon: HostConfig.Devices is not supported by hawse\n"


def test_the_commands_about_the_host(service):
    docker = service.docker
    assert json.loads(docker("version", "-f", "{{json .Server}}").stdout)["ApiVersion"] == "1.45"
    info = json.loads(docker("info", "-f", "{{json .}}").stdout)
    assert (info["Containers"], info["Swarm"]["LocalNodeState"], info["MemoryLimit"]) == (0, "inactive", False)
    assert docker("system", "df", "--format", "{{.Type}} {{.TotalCount}}").stdout == (
        "Images 1\nContainers 0\nLocal Volumes 0\nBuild Cache 0\n"
    )
    assert docker("volume", "ls", "-q").stdout == docker("plugin", "ls", "-q").stdout == ""
    refused = docker("volume", "create", "v", check=False)
    assert refused.stderr.startswith("Error response from daemon: hawse keeps no volumes.")
    assert "not a swarm manager" in docker("node", "ls", check=False).stderr


def test_the_swarm_of_this_host(service):
    docker = service.docker
    assert "is now a manager" in docker("swarm", "init", "--advertise-addr", service.host.address).stdout
    try:
        assert docker("node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}").stdout == "Ready Leader\n"
        assert docker("node", "inspect", "self", "-f", "{{.Spec.Role}}").stdout == "manager\n"
        token = docker("swarm", "join-token", "-q", "worker").stdout
        assert docker("swarm", "join-token", "-q", "--rotate", "worker").stdout != token
        before = service.ask("GET", "/swarm").json
        path = f"/swarm/update?version={before['Version']['Index']}&rotateWorkerToken=1&rotateManagerToken=1"
        assert service.ask("POST", path, before["Spec"]).status == 200
        after = service.ask("GET", "/swarm").json["JoinTokens"]
        assert all(before["JoinTokens"][role] != after[role] for role in ("Worker", "Manager"))
        assert docker("service", "ls", "-q").stdout == ""
        assert service.ask("GET", "/_ping").headers["swarm"] == "active/manager"
        docker("network", "create", "-d", "overlay", "--attachable", "o1")
        listed = docker("network", "ls", "-f", "name=o1", "--format", "{{.Driver}} {{.Scope}}")
        assert listed.stdout == "overlay swarm\n"
        docker("network", "rm", "o1")
    finally:
        docker("swarm", "leave", "--force")
    assert service.ask("GET", "/_ping").headers["swarm"] == "inactive"
