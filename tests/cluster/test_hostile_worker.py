"""A worker host that misuses its own certificate. The other hosts must keep working, and the worker learns no secret.

The tests send requests that root on the worker could send, from the worker to a manager's server (see intruder.py).
"""

import json
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.cluster import keys
from engine.cluster import membership as memberships
from engine.cluster.etcd.client import b64, end_of
from engine.cluster.keys import MANAGER_NAME
from engine.cluster.model import Question, SharedEndpoint
from engine.cluster.node_operations import ACTS
from engine.cluster.questions import LONGEST_ANSWER, OPEN_LIMIT
from engine.eventloop.netns import inside
from engine.store.codec import decode, encode
from tests.cluster.conftest import eventually
from tests.conftest import loaded

pytestmark = pytest.mark.netns
KEY = b64encode(bytes(range(32))).decode()
MAINTENANCE = (
    ("maintenance/alarm", {"action": "ACTIVATE", "alarm": "NOSPACE"}),
    ("maintenance/defragment", {}),
    ("maintenance/hash", {}),
    ("maintenance/snapshot", {}),
    ("maintenance/status", {}),
    ("maintenance/transfer-leadership", {"targetID": "1"}),
    ("maintenance/downgrade", {"action": "ENABLE", "version": "3.4"}),
    ("cluster/member/list", {}),
    ("cluster/member/add", {"peerURLs": ["https://192.168.99.99:2380"]}),
    ("cluster/member/remove", {"ID": "1"}),
    ("auth/enable", {}),
    ("auth/user/add", {"name": "x", "password": "x"}),
    ("lease/grant", {"TTL": 60}),
    ("lease/revoke", {"ID": "1"}),
    ("kv/compaction", {"revision": "1"}),
    ("kv/put", {"key": b64(keys.CLUSTER), "value": b64("{}")}),
    ("kv/deleterange", {"key": b64("/"), "range_end": b64("0")}),
    ("kv/txn", {"success": [{"request_delete_range": {"key": b64("/"), "range_end": b64("0")}}]}),
)


class Intruder:
    """A process that sends requests from a host, with this host's certificate or with one from the directory
    ``root``.
    """

    def __init__(self, host, root=None):
        self.membership = memberships.load(host.root)
        script = str(Path(__file__).with_name("intruder.py"))
        argv = ("ip", "netns", "exec", host.name, sys.executable, script, str(root or host.root))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(argv, env=host.env(), text=True, **pipes)

    def ask(self, path, body, url="https://192.168.99.11:2377", name=MANAGER_NAME):
        self.process.stdin.write(json.dumps([url, name, path, body]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def refused(self, path, body, **where):
        kind, text = self.ask(path, body, **where)
        assert kind == "refused", text
        return text

    def act(self, act, **arguments):
        return self.ask(f"/hawse/{act}", arguments)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def three(cluster):
    """Three hosts: a manager, an honest worker and a hostile worker. Each host has a container on one common
    network.
    """
    hosts = cluster.grow(3)
    hosts[0].hawse("network", "create", "-d", "overlay", "--attachable", "app")
    hosts[0].hawse("network", "create", "-d", "overlay", "closed")
    for number, host in enumerate(hosts, 1):
        host.start(f"c{number}", "app")
    eventually(lambda: hosts[0].reaches("c1", "c2"))
    return tuple(hosts)


@pytest.fixture(scope="module")
def evil(three):
    made = Intruder(three[2])
    yield made
    made.close()


@pytest.fixture(autouse=True)
def others_go_on(three):
    """Check after each attack that the two other hosts are unharmed.

    The cluster's records of the two hosts are the same as before the attack. The containers reach each other, and the
    kernel tables are right.
    """
    before = stored(three[0])
    yield
    assert theirs(before, three) == theirs(stored(three[0]), three)
    assert three[0].reaches("c1", "c2") and three[1].reaches("c2", "c1")
    eventually(lambda: all(host.verify("app").stdout == "ok\n" for host in three[:2]))  # the agents follow the records


def stored(manager):
    """Return all keys and values of the etcd store, read from the manager's own etcd member."""
    client = memberships.open_client(manager.root, memberships.load(manager.root))
    try:
        return {kv.key: kv.value for kv in client.range(keys.BASE)[0]}
    finally:
        client.close()


def theirs(values, three):
    """Return the entries of ``values`` that do not contain the hostile worker's node id.

    Entries that change even without an attack are left out too.
    """
    evil = memberships.load(three[2].root).node_id
    kept = {k: v for k, v in values.items() if evil not in k + v}
    return {k: v for k, v in kept.items() if not k.startswith((keys.ALIVE, keys.SERIAL, keys.CURSOR))}


def endpoints_of(manager, host):
    node = memberships.load(host.root).node_id
    records = {k: v for k, v in stored(manager).items() if k.startswith(keys.ENDPOINTS) and f"/{node}/" in k}
    return [decode(SharedEndpoint, v) for v in records.values()]


def own_record(manager, host):
    return json.loads(stored(manager)[keys.node(memberships.load(host.root).node_id)])


def test_a_worker_cannot_use_the_calls_of_etcd_s_own_api(evil):
    for call, body in MAINTENANCE:
        assert "a worker may not ask for" in evil.refused(f"/v3/{call}", body)


def test_a_worker_cannot_send_requests_to_etcd_directly(three, evil):
    assert "refused" in evil.refused("/v3/maintenance/status", {}, url="https://192.168.99.11:2379")
    peer = {"url": "https://192.168.99.11:2380", "name": "192.168.99.11"}
    for path in ("/members", "/version", "/raft", "/v3/maintenance/snapshot"):
        evil.refused(path, {}, **peer)
    listening = three[0].sh("ss -Hltn").split()
    assert not any(place.endswith(":2379") for place in listening)
    assert any(place.endswith(":2380") for place in listening)


def test_a_worker_cannot_read_secrets(three, evil):
    for key in (keys.TOKENS, keys.SECRET, keys.LEDGER, keys.member("x"), "/", "/hawse", "/hawse/shared0"):
        assert "what all hosts share" in evil.refused("/v3/kv/range", {"key": b64(key)})
    zero = b64encode(b"\0").decode()
    for end in (zero, b64(end_of(keys.SECRET)), b64(end_of(keys.SHARED) + "x"), b64("z")):
        assert "what all hosts share" in evil.refused("/v3/kv/range", {"key": b64(keys.SHARED), "range_end": end})
        watch = {"create_request": {"key": b64(keys.SHARED), "range_end": end}}
        assert "what all hosts share" in evil.refused("/v3/watch", watch)
    kind, shared = evil.ask("/v3/kv/range", {"key": b64(keys.SHARED), "range_end": b64(end_of(keys.SHARED))})
    text = json.dumps([kind, shared]) + "".join(b.read_text() for b in (three[2].root / "cluster").glob("*.*"))
    secrets = [stored(three[0])[keys.TOKENS], (three[0].root / "cluster" / "ca.key").read_text()]
    for secret in (*json.loads(secrets[0]).values(), secrets[1].splitlines()[1]):
        assert secret not in text and b64(secret) not in text


def test_a_worker_cannot_release_or_restore_another_node_s_endpoint(three, evil):
    for victim in three[:2]:
        [web] = endpoints_of(three[0], victim)
        assert evil.act("release", network=web.network_id, endpoint=web.id)[0] == "ok", "of its own, it has none such"
        for path in (f"{web.node}/{web.id}", f"../{web.node}/{web.id}", "", "*"):
            assert evil.act("release", network=web.network_id, endpoint=path)[0] == "refused"
        assert evil.act("restore", endpoint=encode(web)) == ["ok", {"done": False}], "its addresses are the other's"
    assert len(endpoints_of(three[0], three[2])) == 1


def test_a_worker_cannot_reserve_another_node_s_addresses(three, evil):
    [web] = endpoints_of(three[0], three[1])
    [endpoint] = endpoints_of(three[0], three[2])
    address, free = web.ipv4.partition("/")[0], web.ipv4.rpartition(".")[0] + ".77"
    assert "attaching to network failed" in evil.act("reserve", endpoint=encode(fake(endpoint)), ipv4=address)[1]
    taken = {**json.loads(encode(fake(endpoint))), "ipv4": web.ipv4}
    assert evil.act("restore", endpoint=json.dumps(taken)) == ["ok", {"done": False}]
    mac = {**json.loads(encode(fake(endpoint))), "mac": web.mac}
    assert "of another host" in evil.act("reserve", endpoint=json.dumps(mac))[1]
    assert evil.act("restore", endpoint=json.dumps({**mac, "ipv4": f"{free}/24"})) == ["ok", {"done": False}]
    gateway = web.ipv4.rpartition(".")[0] + ".1/24"
    for wrong in (gateway, "192.0.2.1/24", f"{free}/8", f"{free}/33", f"{free}%1/24"):
        assert evil.act("restore", endpoint=json.dumps({**taken, "ipv4": wrong}))[0] == "refused"
    spoken = three[0].hawse("exec", "c1", "busybox", "nslookup", "-type=a", "c2", "127.0.0.11").stdout
    assert address in spoken and endpoint.ipv4.partition("/")[0] not in spoken


def fake(endpoint):
    """Return a changed copy of an endpoint record. The copy belongs to no container."""
    return replace(endpoint, id="f" * 64, mac="02:42:0a:00:00:99", ipv4="", ipv6="", names=("fake",))


def test_a_worker_cannot_use_up_addresses_by_changing_the_addresses_of_one_endpoint(three, evil):
    [endpoint] = endpoints_of(three[0], three[2])
    before = ledger_of(three[2], three[0])
    made = json.loads(evil.act("reserve", endpoint=encode(fake(endpoint)))[1]["endpoint"])
    prefix = made["ipv4"].rpartition(".")[0]
    for last in range(100, 105):
        changed = {**made, "ipv4": f"{prefix}.{last}/24", "mac": f"02:42:0a:00:00:{last - 90:02x}"}
        assert evil.act("restore", endpoint=json.dumps(changed)) == ["ok", {"done": True}]
        again = replace(fake(endpoint), mac=f"02:42:0a:00:01:{last - 90:02x}")
        assert evil.act("reserve", endpoint=encode(again))[0] == "ok"
    assert len(ledger_of(three[2], three[0]) - before) == 2, "one address and one MAC address"
    assert evil.act("release", network=endpoint.network_id, endpoint=made["id"]) == ["ok", {}]
    assert ledger_of(three[2], three[0]) == before


def ledger_of(host, manager):
    """Return the etcd keys that reserve IP and MAC addresses for a host."""
    node = memberships.load(host.root).node_id
    return {k for k, v in stored(manager).items() if k.startswith((keys.ADDRESSES, keys.MACS)) and v.startswith(node)}


def test_a_worker_cannot_reserve_endpoints_on_a_network_that_is_not_attachable(three, evil):
    networks = three[0].hawse("network", "ls", "--no-trunc", "--format", "{{.Name}} {{.ID}}").stdout.split()
    closed = networks[networks.index("closed") + 1]
    [endpoint] = endpoints_of(three[0], three[2])
    forged = json.dumps({**json.loads(encode(fake(endpoint))), "network_id": closed})
    for act in ("reserve", "restore"):
        assert "not manually attachable" in evil.act(act, endpoint=forged)[1]
    assert "not manually attachable" in evil.act("balancer", network=closed)[1]


def test_a_worker_cannot_act_as_a_manager_or_as_another_node(three, evil):
    """The hostile worker cannot act as a manager or as another node. It cannot take another node's number or tunnel key
    either.
    """
    a, b, c = three
    record, victim = own_record(a, c), own_record(a, b)
    lie = {**record, "id": victim["id"], "role": "manager", "index": 1, "enrollment_port": 1, "store_url": "http://x"}
    assert evil.act("publish", node=json.dumps(lie)) == ["ok", {"done": True}]
    now = own_record(a, c)
    assert (now["id"], now["role"], now["index"]) == (record["id"], "worker", record["index"])
    assert own_record(a, b) == victim
    assert a.hawse("node", "ls", "--format", "{{.ManagerStatus}}").stdout.split() == ["Leader"]
    time.sleep(1)
    assert memberships.load(b.root).managers == ("192.168.99.11:2377",)
    assert (
        "another node's"
        in evil.act("publish", node=json.dumps({**record, "wireguard_key": victim["wireguard_key"]}))[1]
    )
    same_bytes = in_other_base64(victim["wireguard_key"])
    assert evil.act("publish", node=json.dumps({**record, "wireguard_key": same_bytes}))[0] == "refused"
    assert own_record(a, b)["wireguard_key"] == victim["wireguard_key"]
    assert evil.act("publish", node=json.dumps(record))[0] == "ok"


def in_other_base64(key):
    """Return a different base64 text that decodes to the same 32 bytes as ``key``.

    Decoders ignore two bits of the last digit, which are 0 in a standard text. The function sets the lower of these two
    bits: it replaces the last digit by the next character.
    """
    other = key[:-2] + chr(ord(key[-2]) + 1) + "="
    assert other != key and b64decode(other, validate=True) == b64decode(key)
    return other


def test_an_underlay_address_of_another_ip_version_affects_only_the_worker_that_publishes_it(three, evil):
    a, _, c = three
    before = own_record(a, c)
    assert evil.act("publish", node=json.dumps({**before, "data_address": "2001:db8::1"})) == ["ok", {"done": True}]
    eventually(lambda: not a.reaches("c1", c.ip("c3", "app")))
    assert a.verify("app").stdout == "ok\n"
    a.start("late", "app")
    assert a.reaches("late", "c2")
    a.hawse("rm", "-f", "late")
    assert evil.act("publish", node=json.dumps(before))[0] == "ok"
    eventually(lambda: a.reaches("c1", "c3"))


def test_a_worker_gets_no_packets_of_an_encrypted_network_by_publishing_another_node_s_address(three, evil):
    """A host finds the tunnel to an endpoint by the endpoint's node, because two nodes may publish one address."""
    a, b, c = three
    a.hawse("network", "create", "-d", "overlay", "--attachable", "-o", "encrypted", "vault")
    for number, host in enumerate(three, 1):
        host.start(f"v{number}", "vault")
    eventually(lambda: a.reaches("v1", "v2") and a.reaches("v1", "v3"), 20)
    before, victim = own_record(a, c), own_record(a, b)
    forged = {**before, "data_address": victim["data_address"]}
    assert evil.act("publish", node=json.dumps(forged)) == ["ok", {"done": True}]
    # The agent programs the new record. If the network's tunnels were found by address, v2 would become unreachable.
    settled = time.monotonic() + 3
    while time.monotonic() < settled:
        assert a.reaches("v1", "v2")
    assert a.verify("vault").stdout == "ok\n"
    assert evil.act("publish", node=json.dumps(before))[0] == "ok"
    for number, host in enumerate(three, 1):
        host.hawse("rm", "-f", f"v{number}")
    a.hawse("network", "rm", "vault")


def test_a_node_record_with_an_invalid_value_is_refused(three, evil):
    before = own_record(three[0], three[2])
    for lie in (
        {"data_address": "127.0.0.1"},
        {"data_address": "224.0.0.1"},
        {"data_address": "example"},
        {"data_address": "fe80::1%x]:9\nAllowedIPs = 100.127.0.2\n#"},
        {"address": "fe80::1%eth0"},
        {"address": "0.0.0.0"},
        {"wireguard_key": "short"},
        {"hostname": "a\x1b[2Jb"},
        {"hostname": "x" * 5000},
        {"hostname": 7},
        {"cpus": -1},
        {"enrollment_port": 99999},
    ):
        assert evil.act("publish", node=json.dumps({**before, **lie}))[0] == "refused", lie
    assert own_record(three[0], three[2]) == before


def test_a_worker_asks_other_hosts_only_about_paths_from_its_own_endpoints(three, evil):
    """Another host answers a worker's questions only about network paths that begin at the worker's own endpoints.

    The length of an answer and the number of unanswered questions are limited.
    """
    a, b, c = three
    [source], [victim] = endpoints_of(a, c), endpoints_of(a, b)
    good = Question(victim.node, victim.network_id, source.id, victim.id, "tcp", 80, 4)
    kind, answer = evil.act("ask", question=encode(replace(good, asker=victim.node, id="mine", lease=7)))
    assert kind == "ok" and "port-not-listening" in answer["answer"], answer
    for lie in ({"source": victim.id}, {"target": source.id}, {"network_id": "f" * 25}, {"node": source.node}):
        assert "not in the cluster's store" in evil.act("ask", question=encode(replace(good, **lie)))[1], lie
    for lie in ({"node": "../x"}, {"source": "*"}, {"protocol": "sctp"}, {"port": 70000}, {"version": 5}):
        assert evil.act("ask", question=encode(replace(good, **lie)))[0] == "refused", lie
    theirs = replace(good, id="x", asker=memberships.load(a.root).node_id)
    assert "for another host" in evil.act("answer", question=encode(theirs), answer="{}")[1]
    long = "x" * (LONGEST_ANSWER + 1)
    assert "too long" in evil.act("answer", question=encode(replace(theirs, node=source.node)), answer=long)[1]
    assert evil.act("answer", question=encode(replace(theirs, node=source.node)), answer="{}") == ["ok", {}]
    client = memberships.open_client(a.root, memberships.load(a.root))
    lease = client.grant(3)
    for number in range(OPEN_LIMIT):
        client.put(keys.question(source.node, "nobody", f"q{number}"), "{", lease)
    assert "too many open questions" in evil.act("ask", question=encode(good))[1]
    client.revoke(lease)
    client.close()
    assert not any(key.startswith((keys.QUESTIONS, keys.ANSWERS)) for key in stored(a))


def test_malformed_requests_are_refused(evil):
    for act in [*(ACTS.keys() - {"leave"}), "certificate", "join", "nosuch"]:
        for body in ({}, {"node": "{", "endpoint": "[", "network": 7}, {"seconds": "x", "request": "y"}):
            assert evil.ask(f"/hawse/{act}", body)[0] == "refused", (act, body)


def test_a_renewed_certificate_names_the_worker_even_if_the_request_names_a_manager(three, evil):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    builder = x509.CertificateSigningRequestBuilder()
    builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, MANAGER_NAME)]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(MANAGER_NAME)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    csr = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    kind, answer = evil.act("certificate", request=csr)
    issued = x509.load_pem_x509_certificate(answer["certificate"].encode())
    assert kind == "ok" and [(a.oid, a.value) for a in issued.subject] == [
        (NameOID.SERIAL_NUMBER, evil.membership.node_id)
    ]
    assert list(issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        issued.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_worker_cannot_act_as_a_manager_s_server(three):
    """A hostile worker cannot act as a manager's server.

    An honest worker that connects to the hostile worker sends no request, because the hostile worker shows no manager's
    certificate.
    """
    _, b, c = three
    script = (
        "import socket, ssl, sys\n"
        "context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
        "context.load_cert_chain(sys.argv[1])\n"
        "listener = socket.create_server(('192.168.99.13', 2377))\n"
        "print('listening', flush=True)\n"
        "try:\n"
        "    print('heard', context.wrap_socket(listener.accept()[0], server_side=True).recv(9), flush=True)\n"
        "except OSError as error:\n"
        "    print('refused', flush=True)\n"
    )
    argv = ("python3", "-c", script, str(c.root / "cluster" / "node.pem"))
    false = c.popen(*argv, stdout=subprocess.PIPE, text=True)
    try:
        assert false.stdout.readline() == "listening\n"
        honest = Intruder(b)
        text = honest.refused("/hawse/beat", {"seconds": 4}, url="https://192.168.99.13:2377")
        honest.close()
        assert "certificate verify failed" in text
        assert false.stdout.readline() == "refused\n"
    finally:
        false.kill()
        false.wait()


def test_a_bad_record_in_the_store_is_left_out_and_reported(three):
    """A bad record in the etcd store is ignored and reported, and no host stops working because of the record.

    Only a manager, or a user who runs the etcd store, can write a bad record.
    """
    a, b, _ = three
    client = memberships.open_client(a.root, memberships.load(a.root))
    [endpoint] = endpoints_of(a, a)
    forged = encode(endpoint)
    bad = {
        keys.node("bad"): "{",
        keys.NODES + "other": stored(a)[keys.node(memberships.load(b.root).node_id)],
        keys.alive("bad"): "1",
        keys.network("bad"): "[]",
        keys.endpoint(endpoint.network_id, "bad", "x"): "\x00",
        keys.endpoint(endpoint.network_id, memberships.load(b.root).node_id, endpoint.id): forged,
        keys.balancer(endpoint.network_id, "bad"): "nothing",
    }
    try:
        for key, value in bad.items():
            client.put(key, value)
        b.start("later", "app")
        eventually(lambda: a.reaches("c1", "later"))
        log = eventually(lambda: (t := (b.run_dir / "agent.log").read_text()) and "left out" in t and t)
        for key in (keys.node("bad"), keys.NODES + "other", keys.network("bad")):
            assert f"left out of the cluster's records: {key}: " in log
        assert a.hawse("node", "ls", "-q").stdout.count("\n") == 3
        assert "Error" not in a.hawse("network", "ls").stdout
        b.hawse("rm", "-f", "later")
    finally:
        for key in bad:
            client.call("/v3/kv/deleterange", {"key": b64(key)})
        client.close()


def test_only_the_worker_that_floods_a_manager_with_writes_is_delayed(three, evil):
    network = three[0].hawse("network", "inspect", "-f", "{{.Id}}", "app").stdout.strip()
    small = {"network": network, "endpoint": "f" * 64}
    body, spent = {**small, "padding": "x" * 900_000}, []
    evil.ask("/hawse/release", small)  # wait for the end of the delays of an earlier run of this test
    for _ in range(11):
        began = time.monotonic()
        assert evil.ask("/hawse/release", body)[0] == "ok"
        spent.append(time.monotonic() - began)
    assert spent[0] < 2 and spent[-1] > 4
    began = time.monotonic()
    three[1].start("quick", "app")
    assert time.monotonic() - began < spent[-1]
    three[1].hawse("rm", "-f", "quick")


def test_the_certificate_of_a_removed_node_is_refused_at_once(cluster, three, tmp_path):
    a = three[0]
    lost = cluster.join()
    lost.start("old", "app")
    kept = tmp_path / "kept"
    shutil.copytree(lost.root / "cluster", kept / "cluster", ignore=shutil.ignore_patterns("*.sock"))
    node = memberships.load(lost.root).node_id
    intruder = Intruder(lost, kept)
    assert intruder.act("beat", seconds=4)[0] == "ok"
    watching = watch(kept, lost)
    a.hawse("node", "rm", "--force", node)
    began = time.monotonic()
    while watching.recv(1 << 20):
        assert time.monotonic() - began < loaded(3), "its watch goes on"
    assert time.monotonic() - began < loaded(1)
    for path, body in (
        ("/hawse/beat", {"seconds": 4}),
        ("/v3/kv/range", {"key": b64(keys.CLUSTER)}),
        ("/v3/watch", {"create_request": {"key": b64(keys.CLUSTER)}}),
        ("/hawse/certificate", {"request": "x"}),
        ("/hawse/publish", {"node": "{}"}),
    ):
        assert "This node has been removed from the swarm" in intruder.refused(path, body)
    intruder.close()
    assert not any(node in k + v for k, v in stored(a).items())
    lost.hawse("rm", "-f", "old")
    lost.hawse("swarm", "leave")


def watch(root, host):
    """Start an etcd watch of the node records at a manager's server, and return the connection.

    The connection comes from the host's network namespace, with the host certificate in the directory ``root``.
    """
    with open(host.path) as there:
        plain = inside(there.fileno(), lambda: socket.create_connection(("192.168.99.11", 2377), 5))
    secure = memberships.node_context(root).wrap_socket(plain, server_hostname=MANAGER_NAME)
    span = {"key": b64(keys.NODES), "range_end": b64(end_of(keys.NODES))}
    body = json.dumps({"create_request": span}).encode()
    head = f"POST /v3/watch HTTP/1.1\r\nContent-Length: {len(body)}\r\nHawse-Layout: {keys.LAYOUT}\r\n\r\n"
    secure.sendall(head.encode() + body)
    received = b""
    while b"created" not in received:
        received += secure.recv(1 << 16)
    return secure
