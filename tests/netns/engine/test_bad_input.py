"""A command that hawse refuses leaves nothing behind and prints the reason in one line."""

import sys

import pytest

from drivers.firewall import standby_table
from tests.conftest import until

pytestmark = pytest.mark.netns
DAEMON = "Error response from daemon: "

REFUSALS = {
    ("network", "create", "-o", "com.docker.network.bridge.name=toolongbridgename1", "n1"): DAEMON
    + "numerical result out of range",
    ("network", "create", "-o", "com.docker.network.driver.mtu=abc", "n1"): DAEMON
    + 'failed to parse com.docker.network.driver.mtu value: abc (strconv.Atoi: parsing "abc": invalid syntax)',
    ("network", "create", "-d", "nosuch", "n1"): DAEMON + 'plugin "nosuch" not found',
    ("network", "create", "--subnet", "10.0.0.0/33", "n1"): DAEMON
    + "invalid network config:\ninvalid subnet 10.0.0.0/33: invalid CIDR block notation",
    ("network", "create", "--ipv4=false", "n1"): DAEMON + "IPv4 or IPv6 must be enabled",  # Docker 28
    ("network", "create", "bridge"): DAEMON + "operation is not permitted on predefined bridge network",
    ("network", "rm", "nosuch"): DAEMON + "network nosuch not found",
    ("network", "rm", "bridge"): DAEMON + "bridge is a pre-defined network and cannot be removed",
    ("network", "connect", "nosuch", "nosuch"): DAEMON + "No such container: nosuch",
    ("create", "--mount", "type=bind,src=/nosuch/file,dst=/etc/hosts", "hostfs", "true"): DAEMON
    + 'invalid mount config for type "bind": bind source path does not exist: /nosuch/file',
    ("start", "nosuch"): DAEMON + "No such container: nosuch\nError: failed to start containers: nosuch",
}


def test_refusals_are_dockers_and_leave_nothing(host):
    host.hawse("network", "create", "keep")
    host.hawse("network", "prune", "-f", "--filter", "label=none")  # adds the nft comment that marks the table complete
    until(lambda: "NO-CARRIER" in host.sh("ip -br link show type bridge"))  # the kernel sets this flag a moment later
    until(lambda: standby_table.TABLE in host.sh("nft list tables"))  # the agent adds this table when it has started
    before = host.sh("ip -br link; nft list ruleset"), host.hawse("network", "ls").stdout
    for argv, text in REFUSALS.items():
        refused = host.hawse(*argv, check=False)
        assert (refused.returncode, refused.stderr) == (1, text + "\n")
    assert (host.sh("ip -br link; nft list ruleset"), host.hawse("network", "ls").stdout) == before


def test_a_taken_address_and_a_taken_port_leave_the_container_created(host):
    host.hawse("network", "create", "--subnet", "172.30.0.0/16", "app")
    host.hawse(
        "run", "-d", "--name", "first", "--network", "app", "--ip", "172.30.0.9", "-p", "80:80", "hostfs", "sleep", "1d"
    )
    for flag, text in (("--ip=172.30.0.9", "Address already in use"), ("-p=80:80", "port is already allocated")):
        refused = host.hawse(
            "run", "-d", "--name", "second", "--network", "app", flag, "hostfs", "sleep", "1d", check=False
        )
        assert (refused.returncode, text in refused.stderr) == (125, True)
        assert host.hawse("ps", "-a", "--filter", "name=second", "--format", "{{.Status}}").stdout == "Created\n"
        host.hawse("rm", "second")


def test_a_foreign_listener_keeps_its_port(host):
    listener = host.popen("busybox", "httpd", "-f", "-p", "9090", "-h", "/etc")
    try:
        while "9090" not in host.sh("busybox netstat -ltn"):
            pass
        refused = host.hawse("run", "-d", "--name", "late", "-p", "9090:80", "hostfs", "sleep", "1d", check=False)
        assert "listen tcp4 0.0.0.0:9090: bind: address already in use" in refused.stderr
    finally:
        listener.kill()
        listener.wait()


def test_without_rights_reading_works_and_changing_says_why(host):
    host.hawse("network", "ls")
    dropped = ("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin")
    refused = host.run(*dropped, sys.executable, "-m", "cli", "network", "create", "n1", check=False, env=host.env())
    assert (refused.returncode, refused.stderr) == (
        1,
        DAEMON + "permission denied: hawse needs root (CAP_NET_ADMIN) to change networks\n",
    )
    assert "bridge" in host.run(*dropped, sys.executable, "-m", "cli", "network", "ls", env=host.env()).stdout


def test_a_user_who_is_not_root_learns_it_from_every_command(host, monkeypatch):
    host.hawse("network", "ls")
    other = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "cli")
    monkeypatch.setattr(host, "launcher", other)
    text = DAEMON + "permission denied: hawse needs root (CAP_NET_ADMIN) to change networks\n"
    assert host.hawse("--dry-run", "network", "create", "n1", check=False).stderr == text
    error = host.error_on_terminal("node", "ls")
    assert error.startswith(DAEMON) and ": permission denied\n" in error
    assert error.endswith("\n\nOnly root may do this: run the command with sudo\n")


def test_a_damaged_store_is_named(host):
    host.root.mkdir(parents=True)
    (host.root / "hawse.db").write_text("no database")
    refused = host.hawse("network", "ls", check=False)
    assert refused.returncode == 1
    assert "hawse.db is damaged" in refused.stderr


def test_filters_that_would_take_a_backtracking_engine_for_ever_end_at_once(host):
    """Filters (``--filter``) take only linear time, even for names that are the worst case for a backtracking engine.

    Such a name matches the pattern up to the last letter.
    """
    long = "a" * 60 + "-b"
    host.hawse("network", "create", long)
    host.hawse("create", "--name", long, "hostfs", "true")
    for pattern in ("^(a+)+$", "(a|aa)+$", "(a*)*-c", "(" * 30_000 + "a" + ")" * 30_000 + "{9}c", "(", "a{1001}"):
        for listing in (("network", "ls"), ("ps", "-a")):
            listed = host.hawse(*listing, "-q", "--filter", f"name={pattern}", timeout=20)
            assert (listed.stdout, listed.stderr) == ("", "")
    assert host.hawse("ps", "-aq", "--filter", "name=^(a+)+-b$").stdout
