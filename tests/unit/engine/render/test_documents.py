"""Inspect documents and lists were recorded from dockerd 26.1.5. Rendering the records must give the same bytes."""

import json
from pathlib import Path

import pytest

from engine.golang.timestamps import to_seconds
from engine.model import (
    ContainerConfig,
    ContainerRecord,
    EndpointIPAM,
    EndpointRecord,
    EndpointSettings,
    HostConfig,
    NetworkAttachment,
    NetworkRecord,
    PoolRecord,
    PortRecord,
    PortSpec,
    RestartPolicy,
)
from engine.render.container import ContainerFiles, container_document, container_summary
from engine.render.endpoint import listed_networks_document
from engine.render.network import network_document


def recorded(name):
    lines = (Path(__file__).parent / f"docker-26.1.5-{name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


CONTAINERS = {document["Name"][1:]: document for document in recorded("containers")}
NETWORKS = {document["Name"]: document for document in recorded("networks")}
LISTED = {document["Names"][0][1:]: document for document in recorded("list")}


def network_record(document):
    pools = [
        PoolRecord(
            subnet=pool["Subnet"],
            ip_range=pool.get("IPRange", ""),
            gateway=pool.get("Gateway", "192.0.2.1"),
            gateway_shown="Gateway" in pool,
            aux_addresses=pool.get("AuxiliaryAddresses", {}),
        )
        for pool in document["IPAM"]["Config"] or ()
    ]
    return NetworkRecord(
        id=document["Id"],
        name=document["Name"],
        created=document["Created"],
        driver=document["Driver"],
        scope=document["Scope"],
        enable_ipv6=document["EnableIPv6"],
        ipam_options=document["IPAM"]["Options"],
        pools=pools,
        internal=document["Internal"],
        attachable=document["Attachable"],
        config_only=document["ConfigOnly"],
        config_from=document["ConfigFrom"]["Network"],
        options=document["Options"],
        labels=document["Labels"],
        predefined=document["Name"] in ("bridge", "host", "none"),
    )


RECORDS = {document["Id"]: network_record(document) for document in NETWORKS.values()}


def members(document):
    """Yield the endpoints of a network's inspect document in reverse order. Rendering must restore Docker's order."""
    for container_id, member in reversed(document["Containers"].items()):
        endpoint = EndpointRecord(
            id=member["EndpointID"],
            network_id=document["Id"],
            container_id=container_id,
            mac=member["MacAddress"],
            ipv4=member["IPv4Address"],
            ipv6=member["IPv6Address"],
        )
        yield endpoint, member["Name"]


def settings(document, asked_mac):
    ipam = document["IPAMConfig"]
    return EndpointSettings(
        ipam=None
        if ipam is None
        else EndpointIPAM(ipam.get("IPv4Address", ""), ipam.get("IPv6Address", ""), ipam.get("LinkLocalIPs", ())),
        links=document["Links"],
        aliases=document["Aliases"],
        driver_opts=document["DriverOpts"],
        mac_address=asked_mac,
    )


def endpoint_record(document, container, ports):
    def interface(address, prefix):
        return f"{document[address]}/{document[prefix]}" if document[address] else ""

    return EndpointRecord(
        id=document["EndpointID"],
        network_id=document["NetworkID"],
        container_id=container["Id"],
        mac=document["MacAddress"],
        ipv4=interface("IPAddress", "IPPrefixLen"),
        ipv6=interface("GlobalIPv6Address", "GlobalIPv6PrefixLen"),
        gateway4=document["Gateway"],
        gateway6=document["IPv6Gateway"],
        ports=ports,
    )


def live_endpoints(document):
    networks = document["NetworkSettings"]["Networks"].values()
    ports = [
        PortRecord(
            key.split("/")[1], b["HostIp"], int(b["HostPort"]), int(b["HostPort"]), *[int(key.split("/")[0])] * 2
        )
        for key, bindings in document["NetworkSettings"]["Ports"].items()
        for b in bindings or ()
    ]
    live = [n for n in networks if n["EndpointID"]]
    return [endpoint_record(n, document, ports if i == 0 else ()) for i, n in enumerate(live)]


def container_record(document):
    config, host, state = document["Config"], document["HostConfig"], document["State"]
    return ContainerRecord(
        id=document["Id"],
        name=document["Name"][1:],
        created=document["Created"],
        config=ContainerConfig(
            image=config["Image"],
            cmd=config["Cmd"],
            entrypoint=config["Entrypoint"],
            hostname=config["Hostname"],
            domainname=config["Domainname"],
            user=config["User"],
            attach_stdin=config["AttachStdin"],
            attach_stdout=config["AttachStdout"],
            attach_stderr=config["AttachStderr"],
            tty=config["Tty"],
            open_stdin=config["OpenStdin"],
            stdin_once=config["StdinOnce"],
            env=config["Env"],
            working_dir=config["WorkingDir"],
            mac_address=config.get("MacAddress", ""),
            labels=config["Labels"],
            exposed_ports=list(config.get("ExposedPorts", ()))[::-1],
            stop_signal=config.get("StopSignal", ""),
            stop_timeout=config.get("StopTimeout"),
        ),
        host=HostConfig(
            network_mode=host["NetworkMode"],
            binds=host["Binds"],
            port_bindings=[
                PortSpec(key.split("/")[1], int(key.split("/")[0]), b["HostIp"], b["HostPort"])
                for key, bindings in reversed(host["PortBindings"].items())
                for b in bindings
            ],
            publish_all_ports=host["PublishAllPorts"],
            restart_policy=RestartPolicy(host["RestartPolicy"]["Name"], host["RestartPolicy"]["MaximumRetryCount"]),
            auto_remove=host["AutoRemove"],
            cap_add=host["CapAdd"],
            cap_drop=host["CapDrop"],
            dns=host["Dns"],
            dns_options=host["DnsOptions"],
            dns_search=host["DnsSearch"],
            extra_hosts=host["ExtraHosts"],
            links=host["Links"] and ["deflt:dl"],
            pid_mode=host["PidMode"],
            privileged=host["Privileged"],
            readonly_rootfs=host["ReadonlyRootfs"],
            sysctls=host.get("Sysctls", {}),
            container_id_file=host["ContainerIDFile"],
            init=host.get("Init"),
        ),
        attachments=[
            NetworkAttachment(name, settings(n, ""), n["NetworkID"], named=n["DNSNames"] is not None)
            for name, n in reversed(document["NetworkSettings"]["Networks"].items())
        ],
        image_id=document["Image"],
        path=document["Path"],
        args=document["Args"],
        status=state["Status"],
        sandbox_id=document["NetworkSettings"]["SandboxID"],
        sandbox_path=document["NetworkSettings"]["SandboxKey"],
        pid=state["Pid"],
        exit_code=state["ExitCode"],
        error=state["Error"],
        started_at=state["StartedAt"],
        finished_at=state["FinishedAt"],
    )


def files(document):
    return ContainerFiles(
        resolv_conf=document["ResolvConfPath"],
        hostname=document["HostnamePath"],
        hosts=document["HostsPath"],
        log=document["LogPath"],
        layers=document["GraphDriver"]["Data"],
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_shown_as_docker_shows_it(name):
    document = NETWORKS[name]
    rendered = network_document(RECORDS[document["Id"]], list(members(document)))
    assert json.dumps(rendered) == json.dumps(document)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_is_shown_as_docker_shows_it(name):
    document = CONTAINERS[name]
    rendered = container_document(container_record(document), live_endpoints(document), RECORDS, files(document))
    assert json.dumps(rendered) == json.dumps(document)


@pytest.mark.parametrize("name", LISTED)
def test_a_container_is_listed_as_docker_lists_it(name):
    document, listed = CONTAINERS[name], dict(LISTED[name])
    link_names = [text[1:] for text in listed["Names"][1:]]
    # Remove the status text, which contains a relative time ("2 minutes ago"). Another test compares the status text.
    listed.pop("Status")
    record, endpoints = container_record(document), live_endpoints(document)
    rendered = container_summary(
        record,
        endpoints,
        RECORDS,
        listed_networks_document(record, endpoints),
        now=to_seconds(document["Created"]),
        link_names=link_names,
    )
    rendered.pop("Status")
    for document in (rendered, listed):  # Docker's order comes from a Go map, so the order is random
        document["Ports"].sort(key=lambda port: (port["PrivatePort"], port["Type"], port.get("IP", "")))
    assert json.dumps(rendered) == json.dumps(listed)
