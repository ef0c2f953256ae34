"""The flags of ``hawse system service``."""

from __future__ import annotations

import os

import pytest

from cli.app import StatusError
from cli.system.service import NEEDS_TLS, service_settings

TLS = {"tlscacert": "/ca.pem", "tlscert": "/cert.pem", "tlskey": "key.pem"}
NO_TLS = dict.fromkeys(TLS, "")


@pytest.fixture(autouse=True)
def run_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HAWSE_RUN", str(tmp_path))
    return tmp_path


def test_without_flags_the_socket_is_in_the_run_directory(run_directory):
    assert service_settings("", (), "", NO_TLS) == {"path": f"{run_directory}/docker.sock", "group": "", "address": ""}


def test_a_socket_can_be_named_in_two_ways():
    assert service_settings("g", (), "/a.sock", NO_TLS)["path"] == "/a.sock"
    assert service_settings("g", ("unix:///a.sock",), "", NO_TLS)["path"] == "/a.sock"


def test_tcp_with_all_files_for_tls():
    settings = service_settings("", ("tcp://10.0.0.5:2376",), "", TLS)
    assert settings == {
        "path": "", "group": "", "address": "10.0.0.5:2376",
        "cacert": "/ca.pem", "cert": "/cert.pem", "key": os.path.abspath("key.pem"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("group", "hosts", "socket", "tls", "text"),
    [
        ("", ("tcp://0.0.0.0:2375",), "", NO_TLS, NEEDS_TLS),
        ("", ("tcp://0.0.0.0:2375",), "", {**TLS, "tlscacert": ""}, NEEDS_TLS),
        ("", ("http://x",), "", NO_TLS, "hawse: invalid --host http://x: use unix://PATH or tcp://HOST:PORT"),
        ("", ("unix:///a", "unix:///b"), "", NO_TLS,
         "hawse: the service listens on one unix socket and one TCP address at most"),
        ("", (), "", TLS, "hawse: --tlscacert, --tlscert and --tlskey are for --host tcp://…"),
        ("g", ("tcp://h:1",), "", TLS, "hawse: --group is for a unix socket"),
    ],
)  # fmt: skip
def test_unsafe_and_contradictory_flags_are_refused(group, hosts, socket, tls, text):
    with pytest.raises(StatusError) as refused:
        service_settings(group, hosts, socket, tls)
    assert refused.value.text == text
