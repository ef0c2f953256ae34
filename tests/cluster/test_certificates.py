"""Each certificate of a cluster's hosts is renewed in time, and is refused after its end date.

In these tests a certificate is valid for seconds, in real use for days.
"""

import os
import shutil
import subprocess
import sys
import time

import pytest
from cryptography import x509

from engine.cluster import membership
from engine.cluster.membership import OTHER_LAYOUT
from tests.cluster.conftest import Member, eventually, shifted_clock
from tests.cluster.test_hostile_worker import Intruder
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.netns
LIFETIME = 16  # seconds for which a certificate is valid


@pytest.fixture(scope="module")
def pair(cluster):
    Member.settings = {**Member.settings, "HAWSE_CERTIFICATE_LIFETIME": str(LIFETIME)}
    a, b = cluster.grow(2)
    a.hawse("network", "create", "-d", "overlay", "--attachable", "app")
    a.start("c1", "app")
    b.start("c2", "app")
    yield a, b
    del Member.settings["HAWSE_CERTIFICATE_LIFETIME"]


def ends(host, name):
    """Return the end date of a host's certificate, in the form that openssl prints."""
    argv = ["openssl", "x509", "-noout", "-enddate", "-in", host.root / "cluster" / name]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_certificates_are_renewed_and_the_cluster_continues(cluster, pair, tmp_path):
    """Hosts renew their certificates and keep working after the old certificates have expired.

    The test also covers managers. The managers' etcd members use the renewed certificates for the connections between
    members.
    """
    a, b = pair
    late = cluster.join("manager")
    kept = tmp_path / "kept"
    shutil.copytree(b.root / "cluster", kept / "cluster", ignore=shutil.ignore_patterns("*.sock"))
    shown = ((b, "node.pem"), (a, "node.pem"), (a, "manager.pem"), (late, "manager.pem"))
    old = [ends(*each) for each in shown]
    time.sleep(LIFETIME + 2)
    assert not set(old) & {ends(*each) for each in shown}
    a.start("c3", "app")
    b.start("c4", "app")
    eventually(lambda: b.reaches("c4", "c3") and a.reaches("c3", "c4"))
    late.hawse("network", "create", "-d", "overlay", "after")
    stale = Intruder(b, kept)
    assert "expired" in stale.refused("/hawse/beat", {"seconds": 4})
    stale.close()


def test_a_manager_whose_clock_was_years_fast_renews_its_certificates_when_the_clock_is_right(cluster, pair):
    a, b = pair
    code = "from pathlib import Path; from engine.cluster import membership; from engine.swarm import certificates\n"
    code += f"root = Path({str(a.root)!r}); certificates.renew_manager(root, membership.load(root))\n"
    code += "print((root / 'cluster/manager.pem').read_text())"  # the agent renews it within a second
    environment = {**os.environ, **shifted_clock("@2038-01-01 00:00:00")}
    argv = [sys.executable, "-c", code]
    issued = subprocess.run(argv, check=True, cwd=CHECKOUT, capture_output=True, text=True, env=environment).stdout
    assert x509.load_pem_x509_certificate(issued.encode()).not_valid_after_utc.year == 2038
    eventually(lambda: "2038" not in ends(a, "manager.pem") + ends(a, "node.pem"))
    a.hawse("network", "create", "-d", "overlay", "--attachable", "later")
    b.start("c5", "later")


def test_the_error_of_a_host_that_was_off_for_too_long_says_what_to_do(pair):
    _, b = pair
    b.kill_processes()
    time.sleep(LIFETIME + 1)
    message = b.hawse("run", "-d", "--name", "late", "--network", "app", "hostfs", "true", check=False).stderr
    assert "this host's certificate has expired" in message and "swarm leave" in message
    b.hawse("rm", "-f", "late")
    b.hawse("swarm", "leave")


def test_a_cluster_of_another_hawse_version_is_refused_and_can_be_left(pair):
    a, _ = pair
    path = a.root / "cluster" / "membership.json"
    path.write_text(path.read_text().replace(f'"layout":{membership.load(a.root).layout}', '"layout":1'))
    for argv in (("node", "ls"), ("network", "create", "-d", "overlay", "x"), ("swarm", "leave")):
        assert OTHER_LAYOUT in a.hawse(*argv, check=False).stderr
    a.hawse("network", "ls")
    assert a.hawse("info", "-f", "{{.Swarm.LocalNodeState}} {{.Swarm.Error}}").stdout == f"error {OTHER_LAYOUT}\n"
    a.hawse("run", "--rm", "--network", "none", "hostfs", "true")
    a.hawse("swarm", "leave", "--force")
    assert not (a.root / "cluster").exists()
    a.hawse("swarm", "init", "--advertise-addr", a.underlay)
