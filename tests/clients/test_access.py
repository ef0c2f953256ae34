"""To use the API, local users need the group of the socket, and other hosts need a certificate."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.docker.exchange import Exchange
from api.docker.listeners import Settings, unix_listener
from api.docker.stream import Hijacked
from tests.conftest import let_others_pass, until

from .conftest import Service

ADDRESS = "127.0.0.1:2376"


class Authority:
    """A certificate authority that writes its files into a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.sign("authority", self.key, authority=True)
        self.write("ca", self.certificate)

    def issue(self, name: str) -> dict[str, str]:
        """Return docker's flags for TLS with a new certificate of this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        self.write(name, self.sign(name, key), key)
        place = self.directory
        return {"--tlscacert": f"{place}/ca.pem", "--tlscert": f"{place}/{name}.pem", "--tlskey": f"{place}/{name}.key"}

    def sign(self, name: str, key: ec.EllipticCurvePrivateKey, *, authority: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if authority else self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        (self.directory / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        if key is not None:
            form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            (self.directory / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def remote(service, authority):
    """A second service of the host, which listens on TCP only."""
    flags = [part for pair in authority.issue("server").items() for part in pair]
    running = Service(service.host, "--host", f"tcp://{ADDRESS}", *flags)
    yield running
    running.stop()


def ask(service: Service, *flags: str) -> subprocess.CompletedProcess[str]:
    return service.host.run(
        "docker", "-H", f"tcp://{ADDRESS}", *flags, "network", "ls", "-q", check=False,
        env={**os.environ, "DOCKER_CONFIG": str(service.host.state)},
    )  # fmt: skip


def test_a_client_with_a_certificate_of_the_authority_is_served(remote, authority):
    flags = [part for pair in authority.issue("client").items() for part in pair]
    listed = ask(remote, "--tlsverify", *flags)
    assert (listed.returncode, len(listed.stdout.split()), listed.stderr) == (0, 3, "")


def test_streams_pass_through_tls(remote, service, authority):
    service.docker("run", "-d", "--name", "c1", "bb", "sleep", "300")
    flags = [part for pair in authority.issue("client").items() for part in pair]
    done = remote.host.run(
        "docker", "-H", f"tcp://{ADDRESS}", "--tlsverify", *flags, "exec", "-i", "c1", "sh", "-c",
        "cat; for n in 1 2 3 4; do cat /bin/busybox; done", input="abc" * 100_000, stdin=None, timeout=60,
        env={**os.environ, "DOCKER_CONFIG": str(service.host.state)}, errors="replace", check=False,
    )  # fmt: skip
    assert done.stdout.startswith("abc" * 100_000)
    assert (done.returncode, done.stderr, len(done.stdout) > 1_000_000) == (0, "", True)


def test_clients_without_a_certificate_of_the_authority_are_refused(remote, authority, tmp_path):
    plain = ask(remote)
    assert plain.returncode != 0 and plain.stdout == ""
    anonymous = remote.host.run("curl", "-sk", f"https://{ADDRESS}/networks", check=False)
    assert anonymous.returncode != 0 and anonymous.stdout == ""
    other = Authority(tmp_path / "other").issue("client") | {"--tlscacert": f"{authority.directory}/ca.pem"}
    forged = ask(remote, "--tlsverify", *[part for pair in other.items() for part in pair])
    assert forged.returncode != 0 and forged.stdout == ""


SILENT = """
import resource, socket, subprocess, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
host, port = sys.argv[1].split(":")
silent = [socket.create_connection((host, int(port))) for _ in range(1200)]
print(subprocess.run(sys.argv[2:], capture_output=True, text=True).returncode, flush=True)
began = time.monotonic()
for each in silent:
    each.settimeout(30)
    assert each.recv(1) == b""
print(time.monotonic() - began < 15)
"""


def test_silent_tcp_clients_keep_no_other_client_away_and_are_closed(remote, authority):
    flags = [part for pair in authority.issue("client").items() for part in pair]
    command = ["docker", "-H", f"tcp://{ADDRESS}", "--tlsverify", *flags, "network", "ls", "-q"]
    environment = {**os.environ, "DOCKER_CONFIG": str(remote.host.state)}
    done = remote.host.run(sys.executable, "-c", SILENT, ADDRESS, *command, env=environment, timeout=60)
    assert done.stdout.split() == ["0", "True"]


@pytest.fixture
def tls_ends(authority):
    """The two ends of a TLS connection: the server's socket and the client's socket."""
    authority.issue("server")
    ours, theirs = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.directory / "server.pem", authority.directory / "server.key")
    trusting = ssl.create_default_context(cafile=str(authority.directory / "ca.pem"))
    theirs.settimeout(60)
    with ThreadPoolExecutor() as pool:
        accepted = pool.submit(context.wrap_socket, ours, server_side=True)
        client = trusting.wrap_socket(theirs, server_hostname="127.0.0.1")
    with client, accepted.result() as server:
        yield server, client


def hijacked(server: ssl.SSLSocket, client: ssl.SSLSocket) -> Hijacked:
    client.sendall(b"POST /exec HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    exchange = Exchange(server, ())
    assert exchange.next_request() is not None
    return exchange.hijack("application/x-raw")


def test_the_end_of_a_hijacked_tls_connection_loses_no_output(tls_ends):
    server, client = tls_ends
    threads, size = threading.active_count(), 3 << 20

    def talk() -> None:
        with server, hijacked(server, client) as conversation:
            conversation.socket.sendall(b"x" * size)

    talking = threading.Thread(target=talk)
    talking.start()
    received = b"".join(iter(lambda: client.recv(65536), b""))
    talking.join(60)
    assert received.partition(b"\r\n\r\n")[2] == b"x" * size
    until(lambda: threading.active_count() == threads)


def test_a_hijacked_tls_connection_is_read_and_written_at_the_same_time(tls_ends):
    server, client = tls_ends
    data = os.urandom(4 << 20)

    def echo() -> None:
        with server, hijacked(server, client) as conversation:
            while piece := conversation.socket.recv(65536):
                conversation.socket.sendall(piece)

    received = bytearray()
    with ThreadPoolExecutor() as pool:
        echoing = pool.submit(echo)
        while b"\r\n\r\n" not in received:
            received += client.recv(65536)
        head = len(received)
        for start in range(0, len(data), 65536):
            client.sendall(data[start : start + 65536])
            while len(received) < head + start:  # first receive the echo of all earlier pieces
                received += client.recv(65536)
        while len(received) < head + len(data):
            received += client.recv(65536)
        client.close()
        echoing.result(60)
    assert bytes(received).partition(b"\r\n\r\n")[2] == data


def test_output_for_a_tls_client_that_has_gone_is_an_error(tls_ends):
    server, client = tls_ends
    with hijacked(server, client) as conversation:
        client.close()
        conversation.socket.settimeout(60)
        with pytest.raises(BrokenPipeError):
            while True:
                conversation.socket.sendall(bytes(65536))


def test_tcp_without_tls_is_refused(service):
    refused = service.host.hawse("system", "service", "--host", "tcp://127.0.0.1:2375", check=False)
    assert refused.returncode == 1 and "whoever reaches this API is root" in refused.stderr


@pytest.mark.parametrize("flag", ["--tlscacert", "--tlscert", "--tlskey"])
@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_tls_file_that_cannot_be_used_is_named(service, authority, tmp_path, flag, content):
    unusable = tmp_path / "unusable.pem"
    if content is not None:
        unusable.write_bytes(content)
    flags = [part for pair in (authority.issue("own") | {flag: str(unusable)}).items() for part in pair]
    refused = service.host.hawse("system", "service", "--host", "tcp://127.0.0.1:2375", *flags, check=False)
    assert refused.returncode == 1 and flag in refused.stderr and str(unusable) in refused.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--host", "unix:///etc/passwd/x"), "cannot listen on /etc/passwd/x: not a directory"),
        (("--host", f"unix:///{'x' * 300}"), f"cannot listen on /{'x' * 300}: file name too long"),
        (("--host", f"unix:///tmp/{'x' * 200}"), f"cannot listen on /tmp/{'x' * 200}: af_unix path too long"),
        (("--host", "unix:///tmp/x.sock", "--group", "99999999999"), "group 99999999999 not found"),
        (("--host", "unix:///tmp/x.sock", "--group", "\u00b2"), "group \u00b2 not found"),
    ],
    ids=["below_a_file", "long_name", "long_path", "large_group", "group_of_an_unusual_digit"],
)  # fmt: skip
def test_a_path_or_group_that_cannot_be_used_is_named(service, flags, message):
    refused = service.host.hawse("system", "service", *flags, check=False)
    assert (refused.returncode, refused.stderr) == (1, f"hawse: {message}\n")


def test_a_service_that_cannot_use_its_path_leaves_other_sockets_alone(service, tmp_path):
    path = tmp_path / "datagrams"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        refused = service.host.hawse("system", "service", "--host", f"unix://{path}", check=False)
    assert (refused.returncode, refused.stderr) == (
        1,
        f"hawse: cannot listen on {path}: protocol wrong type for socket\n",
    )
    assert path.is_socket()


def test_a_second_service_does_not_take_the_socket(service):
    refused = service.host.hawse("system", "service", check=False)
    assert (refused.returncode, refused.stderr) == (
        1, f"hawse: cannot listen on {service.socket}: another process listens there\n",
    )  # fmt: skip
    assert service.ask("GET", "/_ping").body == b"OK"


def test_the_group_of_the_directory_gets_no_access(tmp_path):
    """A directory with the set-group-ID bit gives its group to each new file."""
    os.chown(tmp_path, -1, 12345)
    tmp_path.chmod(0o2770)
    with unix_listener(Settings(path=str(tmp_path / "docker.sock"))):
        status = os.stat(tmp_path / "docker.sock")
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o660, 0, 0)


def test_only_root_and_the_chosen_group_can_connect_to_the_socket(service):
    let_others_pass(service.host.run_dir)
    service.stop()
    assert not service.socket.exists()
    service.start("--group", "nogroup")
    group = os.stat(service.socket).st_gid
    assert stat.S_IMODE(os.stat(service.socket).st_mode) == 0o660
    assert stat.S_IMODE(os.stat(service.host.run_dir).st_mode) == 0o710
    command = ["curl", "-s", "--unix-socket", str(service.socket), "http://x/_ping"]
    member = subprocess.run(command, capture_output=True, text=True, user=65534, group=group, extra_groups=[])
    assert (member.returncode, member.stdout) == (0, "OK")
    stranger = subprocess.run(command, capture_output=True, text=True, user=65534, group=12345, extra_groups=[])
    assert (stranger.returncode, stranger.stdout) == (7, "")
    assert service.host.hawse("network", "ls", "-q").returncode == 0


def test_systemd_may_pass_the_socket(service, tmp_path):
    path = tmp_path / "given.sock"
    with subprocess.Popen(
        ["ip", "netns", "exec", service.host.name, "systemd-socket-activate", "-l", str(path), "-E", "HAWSE_ROOT",
         "-E", "HAWSE_RUN", "-E", "PYTHONPATH", "-E", "HAWSE_WARM", sys.executable, "-m", "cli", "system", "service"],
        env=service.host.env(HAWSE_WARM="off"), stderr=subprocess.DEVNULL,
    ) as activated:  # fmt: skip
        until(path.exists)
        answer = subprocess.run(["curl", "-s", "--unix-socket", str(path), "http://x/_ping"], capture_output=True)
        activated.terminate()
    assert answer.stdout == b"OK"
    assert path.exists()  # the service does not delete the socket of systemd
