"""Checks of new names, legacy links and signal names, with dockerd 26.1.5's error texts."""

import pytest

from engine.errors import Conflict, EngineError, InvalidArgument
from engine.model import ContainerConfig, ContainerRecord, EndpointSettings, HostConfig, NetworkAttachment
from engine.names import parse_link
from engine.validate.container import check_link_at_start, link_target
from engine.validate.rename import check_rename, check_rename_not_empty, rename_conflict
from engine.validate.signals import check_supported, parse_signal


def container(network="bridge", status="running"):
    attachments = [NetworkAttachment(network, EndpointSettings())]
    return ContainerRecord("a" * 64, "c1", "", ContainerConfig("bb"), HostConfig(), attachments, status=status)


def test_an_empty_new_name_is_refused():
    with pytest.raises(InvalidArgument, match=r"^Neither old nor new names may be empty$"):
        check_rename_not_empty("")


@pytest.mark.parametrize("name", ["c1", "/c1"])
def test_the_present_name_is_refused_as_the_new_name(name):
    with pytest.raises(InvalidArgument, match=r"^Renaming a container with the same name as its current name$"):
        check_rename(container(), name)


@pytest.mark.parametrize("name", ["x", "a b"])
def test_a_malformed_new_name_is_refused(name):
    with pytest.raises(InvalidArgument) as caught:
        check_rename(container(), name)
    assert str(caught.value) == (
        f"Error when allocating new name: Invalid container name (/{name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )


def test_a_leading_slash_of_a_new_name_is_removed():
    assert check_rename(container(), "/c2") == check_rename(container(), "c2") == "c2"


def test_a_taken_new_name_is_a_conflict():
    error = rename_conflict("c2", "f" * 64)
    assert isinstance(error, Conflict)
    assert str(error).startswith('Error when allocating new name: Conflict. The container name "/c2" is already in use')


@pytest.mark.parametrize(
    ("link", "parts"),
    [("db", ("db", "db")), ("db:x", ("db", "x")), ("db:", ("db", "")), ("/db:/web/x", ("db", "x"))],
)
def test_a_link_names_a_container_and_an_alias(link, parts):
    assert parse_link(link) == parts


@pytest.mark.parametrize(
    ("link", "text"), [("", "empty string specified for links"), ("a:b:c", "bad format for links: a:b:c")]
)
def test_a_malformed_link_is_refused(link, text):
    with pytest.raises(EngineError) as caught:
        parse_link(link)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nosuch", "could not get container for nosuch: No such container: nosuch"),
        ("", 'could not get container for : invalid name or ID supplied: ""'),
    ],
)
def test_a_link_to_a_missing_container_is_refused(name, text):
    with pytest.raises(InvalidArgument) as caught:
        link_target([], name)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (container(status="created"), "Cannot link to a non running container: /c1 AS /web/x"),
        (container("n1"), "Cannot link to /c1, as it does not belong to the default network"),
        (container("n1", "exited"), "Cannot link to /c1, as it does not belong to the default network"),
    ],
)
def test_a_link_that_cannot_work_fails_the_start(target, text):
    with pytest.raises(EngineError) as caught:
        check_link_at_start(target, "web", "x")
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SIGTERM", 15),
        ("TERM", 15),
        ("15", 15),
        ("sigint", 2),
        ("SIGRTMIN+3", 37),
        ("RTMAX", 64),
        ("RTMAX-1", 63),
        ("RTMIN+15", 49),
        ("RTMAX-14", 50),
        ("CLD", 17),
        ("sigpoll", 29),
        ("IOT", 6),
        ("-1", -1),
    ],
)
def test_a_signal_has_a_name_or_a_number(text, number):
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    "text",
    ["0", "bogus", "SIGFOO", "", "RTMIN+0", "RTMIN+01", "RTMIN+16", "RTMAX-15", "RTMIN+99", "RTMIN+" + "9" * 5000],
)
def test_an_unknown_signal_is_refused(text):
    with pytest.raises(InvalidArgument) as caught:
        parse_signal(text)
    assert str(caught.value) == f"invalid signal: {text}"


@pytest.mark.parametrize("number", [99, 65, 33, 32, -1])
def test_a_signal_number_that_linux_lacks_is_refused(number):
    with pytest.raises(InvalidArgument, match=rf"^the linux daemon does not support signal {number}$"):
        check_supported(number)
