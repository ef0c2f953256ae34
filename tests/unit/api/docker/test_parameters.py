"""The tests check how hawse reads the parameters of streams and images: times, detach keys, credentials, frames."""

from __future__ import annotations

import base64
import json

import pytest

from api.docker.errors import ApiError
from api.docker.handlers.attach import detach_keys
from api.docker.moments import nanoseconds, seconds
from api.docker.registry_auth import registry_auth
from api.docker.stream import framed, media_type


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", None),
        ("0", 0),
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000.5", 1_700_000_000_500_000_000),
        ("1700000000.000000001", 1_700_000_000_000_000_001),
        ("1700000000.0000000019", 1_700_000_000_000_000_001),
        ("+1700000000", 1_700_000_000_000_000_000),
        ("1700000000.+5", 1_700_000_000_050_000_000),
        ("-5", -5_000_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
    ],
)
def test_times_are_parsed_to_nanoseconds_and_seconds(text, moment):
    assert nanoseconds(text) == moment
    assert seconds(text) == (moment / 1e9 if moment else None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", 'parsing "x": invalid syntax'),
        ("1.x", 'parsing "x": invalid syntax'),
        ("1.", 'parsing "": invalid syntax'),
        ("1.5.5", 'parsing "5.5": invalid syntax'),
        ("2023-11-14", 'parsing "2023-11-14": invalid syntax'),
        ("9" * 19, f'parsing "{"9" * 19}": value out of range'),
    ],
)
def test_a_wrong_time_is_refused_in_docker_s_words(text, reason):
    with pytest.raises(ApiError) as refused:
        nanoseconds(text)
    assert (refused.value.status, str(refused.value)) == (500, f"strconv.ParseInt: {reason}")


@pytest.mark.parametrize(
    ("keys", "typed", "passed"),
    [
        ("", b"ab\x10\x11c", b"ab"),
        ("ctrl-a", b"x\x01", b"x"),
        ("a,b,c", b"aabc", b"a"),
        ("ctrl-\\,ctrl-[", b"\x1c\x1b", b""),
    ],
)
def test_detach_keys_end_the_input(keys, typed, passed):
    searched = detach_keys(keys)
    passed_on, left = b"", False
    for number in typed:
        data, left = searched.filter(bytes([number]))
        passed_on += data
        if left:
            break
    assert (passed_on, left) == (passed, True)


def test_an_incomplete_sequence_of_detach_keys_is_passed_on_as_input():
    searched = detach_keys("a,b,c")
    assert [searched.filter(bytes([number])) for number in b"abd"] == [(b"", False), (b"", False), (b"abd", False)]


@pytest.mark.parametrize("keys", ["ctrl-", "ctrl-ab", "ab", "ctrl-1", "é"])
def test_wrong_detach_keys_are_refused(keys):
    with pytest.raises(ApiError, match="Invalid detach keys"):
        detach_keys(keys)


def test_frames_and_media_types():
    assert framed("stderr", b"ab") == b"\x02\0\0\0\0\0\0\x02ab"
    assert media_type((1, 45), tty=False) == "application/vnd.docker.multiplexed-stream"
    assert media_type((1, 41), tty=False) == media_type((1, 45), tty=True) == "application/vnd.docker.raw-stream"


def header(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def test_credentials_of_a_pull():
    assert registry_auth("", "r") == registry_auth(header({}), "r") == {}
    encoded = header({"username": "me", "password": "é", "serveraddress": "elsewhere"})
    assert registry_auth(encoded, "r") == {"auths": {"r": {"auth": base64.b64encode("me:é".encode()).decode()}}}
    assert registry_auth(header({"identitytoken": "t"}), "r") == {"auths": {"r": {"identitytoken": "t"}}}
    for wrong in ("%", base64.urlsafe_b64encode(b"{x").decode(), header({"username": 1}), header([])):
        assert registry_auth(wrong, "r") == {}, "Docker ignores a header that is not valid"
