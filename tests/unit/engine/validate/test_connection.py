"""Connects and disconnects that dockerd 26.1.5 refuses, depending on the container's state."""

import pytest

from engine.errors import EngineError, Forbidden, InvalidArgument
from engine.model import (
    ContainerConfig,
    ContainerRecord,
    EndpointIPAM,
    EndpointSettings,
    HostConfig,
    NetworkAttachment,
    NetworkRecord,
)
from engine.validate import endpoint
from engine.validate.endpoint import check_connect, check_disconnect

N1 = NetworkRecord("1" * 64, "n1", "", "bridge")
N2 = NetworkRecord("2" * 64, "n2", "", "bridge")
HOST = NetworkRecord("h" * 64, "host", "", "host", predefined=True)
NONE = NetworkRecord("0" * 64, "none", "", "null", predefined=True)
CFG = NetworkRecord("c" * 64, "cfg", "", "null", config_only=True)
PLAIN = EndpointSettings()


def container(mode, *networks, running=True):
    return ContainerRecord(
        "a" * 64,
        "c1",
        "",
        ContainerConfig("bb"),
        HostConfig(network_mode=mode),
        attachments=[NetworkAttachment(n.name, PLAIN, n.id) for n in networks],
        status="running" if running else "exited",
    )


@pytest.mark.parametrize(
    ("mode", "joined", "network", "error", "text"),
    [
        ("n1", [N1], N1, Forbidden, "endpoint with name c1 already exists in network n1"),
        ("n1", [N1], HOST, InvalidArgument, endpoint.HOST),
        ("n1", [N1], NONE, InvalidArgument, endpoint.PRIVATE),
        ("n1", [N1], CFG, Forbidden, "cannot create endpoint on configuration-only network"),
        ("host", [HOST], N1, InvalidArgument, endpoint.SHARED),
        ("host", [HOST], NONE, InvalidArgument, endpoint.SHARED),
        ("host", [HOST], CFG, InvalidArgument, endpoint.SHARED),
        ("host", [HOST], HOST, Forbidden, "endpoint with name c1 already exists in network host"),
        ("none", [NONE], N1, InvalidArgument, endpoint.PRIVATE),
        ("none", [NONE], CFG, InvalidArgument, endpoint.PRIVATE),
        ("none", [NONE], HOST, InvalidArgument, endpoint.HOST),
        ("none", [NONE], NONE, Forbidden, "endpoint with name c1 already exists in network none"),
        ("container:x", [], N1, InvalidArgument, endpoint.SHARED),
        ("container:x", [], HOST, InvalidArgument, endpoint.SHARED),
    ],
)
def test_connects_that_are_refused_for_a_running_container(mode, joined, network, error, text):
    with pytest.raises(error) as caught:
        check_connect(container(mode, *joined), network, PLAIN, joined)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("mode", "configured", "network", "text"),
    [
        ("n1", [N1], HOST, endpoint.HOST),
        ("n1", [N1], NONE, endpoint.PRIVATE),
        ("host", [HOST], N1, endpoint.SHARED),
        ("none", [NONE], N1, endpoint.PRIVATE),
    ],
)
def test_connects_that_are_refused_for_a_stopped_container(mode, configured, network, text):
    with pytest.raises(InvalidArgument) as caught:
        check_connect(container(mode, *configured, running=False), network, PLAIN, configured)
    assert str(caught.value) == text


@pytest.mark.parametrize("network", [N1, N2, CFG])
def test_a_stopped_container_may_be_connected_twice_or_to_a_missing_network(network):
    check_connect(container("n1", N1, running=False), network, PLAIN, [N1])


def test_a_container_that_left_the_network_none_can_be_connected():
    check_connect(container("none"), N1, PLAIN, [])


def test_settings_are_checked_before_existing_connections():
    settings = EndpointSettings(EndpointIPAM("bogus"))
    for record, network in ((container("n1", N1), N1), (container("host", HOST), N1)):
        with pytest.raises(InvalidArgument, match=r"^invalid endpoint settings:\n\* invalid IPv4 address: bogus"):
            check_connect(record, network, settings, [N1])


def test_a_shared_sandbox_is_reported_before_invalid_settings():
    with pytest.raises(InvalidArgument, match=r"^container sharing network namespace"):
        check_connect(container("container:x"), N1, EndpointSettings(EndpointIPAM("bogus")), [])


@pytest.mark.parametrize(
    ("link", "text"), [("a:b:c", "bad format for links: a:b:c"), ("", "empty string specified for links")]
)
def test_a_malformed_link_is_refused_while_running(link, text):
    settings = EndpointSettings(links=[link])
    check_connect(container("n1", N1, running=False), N2, settings, [])
    with pytest.raises(EngineError) as caught:
        check_connect(container("n1", N1), N2, settings, [N1])
    assert str(caught.value) == text


def test_the_error_for_a_container_that_is_not_connected_depends_on_its_state():
    for running, text in ((True, "to network n2"), (False, "to the network n2")):
        with pytest.raises(EngineError) as caught:
            check_disconnect(container("n1", N1, running=running), N2, connected=False)
        assert str(caught.value) == f"container {'a' * 64} is not connected {text}"
        assert caught.value.status == 500


def test_a_running_container_cannot_leave_the_hosts_network():
    with pytest.raises(InvalidArgument) as caught:
        check_disconnect(container("host", HOST), HOST, connected=True)
    assert str(caught.value) == endpoint.HOST
    check_disconnect(container("host", HOST, running=False), HOST, connected=True)
