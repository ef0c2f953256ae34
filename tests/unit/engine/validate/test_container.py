"""Containers that dockerd 26.1.5 refuses to create, with its error texts."""

import pytest

from engine.errors import InvalidArgument
from engine.model import ContainerConfig, ContainerCreate, EndpointSettings, HostConfig, PortSpec, RestartPolicy
from engine.validate.container import HOST_MODE_PORTS, OLD_MAC_FIELD, check_container_create, check_networks

MAC, OTHER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
UNDEFINED = "can't be used with links. This would result in undefined behavior"
COUNT = "invalid restart policy: maximum retry count"


def create(networks=None, **fields):
    config = {key: fields.pop(key) for key in list(fields) if key in ContainerConfig.__struct_fields__}
    request = ContainerCreate(ContainerConfig("bb", **config), HostConfig(**fields), networks or {})
    warnings = check_container_create(request)
    check_networks(request, {})
    return warnings


def fault(**fields):
    with pytest.raises(InvalidArgument) as caught:
        create(**fields)
    return str(caught.value)


@pytest.mark.parametrize("mode", ["", "default", "bridge", "host", "none", "nosuch", "container:a:b", "host:x", "a b"])
def test_a_network_mode_is_resolved_only_at_the_start(mode):
    assert create(network_mode=mode) == []


@pytest.mark.parametrize("mode", ["container", "container:"])
def test_container_mode_without_a_container_is_refused(mode):
    text = "Invalid network mode: invalid container format container:<name|id>"
    assert fault(network_mode=mode) == text


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"hostname": "x"}, "hostname and the network mode"),
        ({"links": ["a:x"]}, f"container type network {UNDEFINED}"),
        ({"dns": ["1.1.1.1"]}, "dns and the network mode"),
        ({"extra_hosts": ["a:1.1.1.1"]}, "custom host-to-IP mapping and the network mode"),
        ({"port_bindings": [PortSpec("tcp", 80)]}, "port publishing and the container type network mode"),
        ({"publish_all_ports": True}, "port publishing and the container type network mode"),
        ({"exposed_ports": ["80/tcp"]}, "port exposing and the container type network mode"),
    ],
)
def test_container_mode_refuses_sandbox_options(field, text):
    assert fault(network_mode="container:c0", **field) == f"conflicting options: {text}"


@pytest.mark.parametrize("field", [{"dns_search": ["x"]}, {"dns_options": ["x"]}, {"domainname": "x"}])
def test_container_mode_ignores_dns_options_and_domain_name(field):
    assert create(network_mode="container:c0", **field) == []


def test_links_on_the_hosts_network_are_refused():
    assert fault(network_mode="host", links=["a:x"]) == f"conflicting options: host type networking {UNDEFINED}"


def test_the_hosts_network_discards_ports_with_a_warning():
    assert create(network_mode="host", port_bindings=[PortSpec("tcp", 80)]) == [HOST_MODE_PORTS]


@pytest.mark.parametrize(
    ("name", "count", "text"),
    [
        ("no", 2, f"{COUNT} can only be used with 'on-failure'"),
        ("", 3, f"{COUNT} can only be used with 'on-failure'"),
        ("always", -3, f"{COUNT} can only be used with 'on-failure' and cannot be negative"),
        ("on-failure", -1, f"{COUNT} cannot be negative"),
        (
            "bogus",
            0,
            "invalid restart policy: unknown policy 'bogus'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ),
    ],
)
def test_an_invalid_restart_policy_is_refused(name, count, text):
    assert fault(restart_policy=RestartPolicy(name, count)) == text


@pytest.mark.parametrize("name", ["always", "on-failure"])
def test_a_container_that_is_removed_cannot_restart(name):
    text = "can't create 'AutoRemove' container with restart policy"
    assert fault(auto_remove=True, restart_policy=RestartPolicy(name)) == text


@pytest.mark.parametrize("variable", ["", "=x"])
def test_a_variable_needs_a_name(variable):
    assert fault(env=[variable]) == f"invalid environment variable: {variable}"


def test_a_relative_working_directory_is_refused():
    assert fault(working_dir="rel") == "the working directory 'rel' is invalid, it needs to be an absolute path"


def test_an_unknown_stop_signal_is_refused():
    assert fault(stop_signal="bogus") == "invalid signal: bogus"


@pytest.mark.parametrize("entry", ["a", ":1.2.3.4", "a=1.2.3.4", ""])
def test_an_extra_host_without_name_or_address_is_refused(entry):
    assert fault(extra_hosts=[entry]) == f'bad format for add-host: "{entry}"'


@pytest.mark.parametrize("address", ["", "b", "[::1]", "1.2.3.4:5"])
def test_an_extra_host_with_an_invalid_address_is_refused(address):
    assert fault(extra_hosts=[f"a:{address}"]) == f'invalid IP address in add-host: "{address}"'


@pytest.mark.parametrize("address", ["1.2.3.4", "::1", "host-gateway"])
def test_a_valid_extra_host_is_accepted(address):
    assert create(extra_hosts=[f"a:{address}"]) == []


@pytest.mark.parametrize("host_port", ["abc", "65536", "8010-8000", "-1", "70000-70001", "9" * 5000])
def test_an_invalid_host_port_is_refused(host_port):
    assert fault(port_bindings=[PortSpec("tcp", 99, "", host_port)]) == f'invalid port specification: "{host_port}"'


@pytest.mark.parametrize("host_port", ["", "80", "0", "8000-8010", "80/tcp"])
def test_a_valid_host_port_is_accepted(host_port):
    assert create(port_bindings=[PortSpec("tcp", 99, "bogus", host_port)]) == []


def test_a_container_port_is_at_most_65535():
    assert fault(port_bindings=[PortSpec("tcp", 65536)]) == 'invalid port specification: "65536"'


@pytest.mark.parametrize(("field", "title"), [("cap_add", "CapAdd"), ("cap_drop", "CapDrop")])
def test_an_unknown_capability_is_refused(field, title):
    for good in ("NET_ADMIN", "CAP_NET_ADMIN", "ALL", "net_admin"):
        assert create(**{field: [good]}) == []
    assert fault(**{field: ["bogus"]}) == f'invalid {title}: unknown capability: "CAP_BOGUS"'


@pytest.mark.parametrize("mode", ["bogus", "container:"])
def test_an_unknown_pid_mode_is_refused(mode):
    assert fault(pid_mode=mode) == f"invalid PID mode: {mode}"


def test_the_old_mac_field_is_warned_about():
    assert create(mac_address=MAC) == [OLD_MAC_FIELD]
    assert create({"n1": EndpointSettings(mac_address=MAC)}, network_mode="n1", mac_address=MAC) == [OLD_MAC_FIELD]


def test_two_mac_addresses_must_agree():
    text = (
        "the container-wide MAC address must match the endpoint-specific MAC address for the main network, "
        "or be left empty"
    )
    networks = {"n1": EndpointSettings(mac_address=OTHER_MAC)}
    assert fault(networks=networks, network_mode="n1", mac_address=MAC) == text


def test_the_error_for_a_malformed_mac_names_its_network():
    assert fault(mac_address="bogus") == "invalid config for network bridge: invalid MAC address bogus"
    networks = {"n1": EndpointSettings(mac_address="2:0:0:0:0:1")}
    assert fault(networks=networks, network_mode="n1") == (
        "invalid config for network n1: invalid MAC address 2:0:0:0:0:1"
    )


@pytest.mark.parametrize("mode", ["default", "bridge", "n2"])
def test_a_mac_address_of_the_container_needs_the_settings_of_its_main_network(mode):
    assert fault(networks={"n1": EndpointSettings()}, network_mode=mode, mac_address=MAC) == (
        "if a container-wide MAC address is supplied, HostConfig.NetworkMode must match the identity of a network in "
        "NetworkSettings.Networks"
    )


def test_a_container_in_host_mode_joins_no_other_network():
    assert create({"host": EndpointSettings()}, network_mode="host") == []
    assert fault(networks={"n1": EndpointSettings()}, network_mode="host") == (
        "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
    )
