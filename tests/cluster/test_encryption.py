"""Encrypted networks: what the wire between two hosts shows, and that keys change without anybody noticing."""

import shutil
import signal
import subprocess
import time

import pytest

from tests.cluster.conftest import Member, eventually

pytestmark = [pytest.mark.netns, pytest.mark.slow]
SECRET = "hawse-in-clear"


@pytest.fixture(scope="module")
def pair(cluster):
    if shutil.which("wireguard-go") is None or shutil.which("wg") is None:
        pytest.skip(
            "neither the wireguard module nor wireguard-go is here (apt-get install wireguard-go wireguard-tools)"
        )
    Member.settings = {**Member.settings, "HAWSE_KEY_LIFETIME": "25"}
    a, b = cluster.grow(2)
    a.hawse("network", "create", "-d", "overlay", "--attachable", "-o", "encrypted", "vault")
    yield a, b
    del Member.settings["HAWSE_KEY_LIFETIME"]


def capture(host, path):
    """Everything that passes the host's wire from now on."""
    process = host.popen(
        "tcpdump", "-U", "-i", "ext0", "-w", str(path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert b"listening on" in process.stderr.readline()
    return process


def test_nothing_leaves_in_clear_from_the_first_packet_on(cluster, pair):
    a, b = pair
    path = cluster.directory / "wire.pcap"
    dump = capture(a, path)
    try:
        a.start("v1", "vault")
        b.start("v2", "vault")
        eventually(lambda: a.reaches("v1", "v2"), 20)
        pattern = SECRET.encode().hex()
        a.hawse("exec", "v1", "busybox", "ping", "-c3", "-W1", "-s", "64", "-p", pattern[:2], "v2")
        send = f"echo {SECRET} | busybox nc -w1 {b.ip('v2', 'vault')} 9999"
        b.hawse("exec", "-d", "v2", "busybox", "nc", "-l", "-p", "9999")
        time.sleep(0.3)
        a.hawse("exec", "v1", "sh", "-c", send, check=False)
        time.sleep(0.3)
    finally:
        dump.send_signal(signal.SIGINT)
        dump.wait(10)
    seen = path.read_bytes()
    assert SECRET.encode() not in seen
    clear = subprocess.run(["tcpdump", "-nr", str(path), "udp port 4789"], capture_output=True, text=True)
    assert clear.stdout == ""
    assert subprocess.run(
        ["tcpdump", "-nr", str(path), "udp portrange 51820-60000"], capture_output=True, text=True
    ).stdout


def test_a_new_host_gets_a_tunnel_to_everybody(cluster, pair):
    a, _ = pair
    third = cluster.join()
    third.start("v3", "vault")
    eventually(lambda: a.reaches("v1", "v3") and third.reaches("v3", "v2"), 20)
    assert a.verify("vault").stdout == ""


def test_keys_are_rotated_and_traffic_goes_on(cluster, pair):
    a, b = pair
    before = public_keys(a)
    eventually(lambda: len(before & public_keys(a)) < len(before), 40)
    eventually(lambda: a.reaches("v1", "v2") and b.reaches("v2", "v1"))


def public_keys(host):
    """The tunnel keys that the cluster knows."""
    return set(host.tool("vault", "keys"))
