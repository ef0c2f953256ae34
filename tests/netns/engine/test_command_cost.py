"""The cost of commands on a bridge network, counted as requests to the kernel and to the store.

A test fails if a command sends more requests than the limit that the test sets. The tests also limit the number of
files in engine/ in which a command calls a function. A developer who follows the command must read these files.
"""

import os
import sqlite3
import sys
from collections import Counter

import pytest

from drivers.linux import conntrack, libnftables, netlink, nfnetlink
from drivers.linux import netns as namespaces
from engine.core import open_engine
from engine.endpoints import sandbox
from engine.model import EndpointSettings, NetworkCreate
from engine.store import sqlite
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.netns


@pytest.fixture
def verbs(host, monkeypatch):
    """Return a function that runs an engine operation in the host's network namespace. Each call uses a new engine."""
    monkeypatch.setenv("HAWSE_WARM", "off")
    for name, value in host.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HAWSE_CONFIG", os.devnull)

    def call(kind, verb, *arguments):
        return namespaces.run_in_netns(host.path, lambda: getattr(getattr(open_engine(), kind), verb)(*arguments))

    return call


def test_routes_are_set_only_when_another_network_gets_the_default_route(netns, verbs, monkeypatch):
    """A container connects to the networks z, b and m in this order.

    Network b is the first of these networks in the alphabet and therefore gets the default route.
    """
    routed, route = [], sandbox.route
    monkeypatch.setattr(sandbox, "route", lambda record, members: routed.append(len(members)) or route(record, members))
    for name in ("z", "b", "m"):
        verbs("networks", "create", NetworkCreate(name))
        verbs("networks", "connect", name, f"netns:{netns.name}", EndpointSettings())
    assert routed == [1, 2]
    assert "dev eth1" in netns.sh("ip route show default")
    for name in ("m", "b", "z"):
        verbs("networks", "disconnect", name, f"netns:{netns.name}")
    assert routed == [1, 2, 1, 0]


@pytest.fixture
def spent(monkeypatch):
    """Count the resources that a command uses.

    The resources are store connections, SQL statements, netlink requests, netlink lists, and runs of nftables scripts.
    """
    counted, connect = Counter(), sqlite3.connect

    def counting(place, name, what):
        original = getattr(place, name)

        def counter(*args, **kw):
            counted[what(args)] += 1
            return original(*args, **kw)

        monkeypatch.setattr(place, name, counter)

    def traced(*args, **kw):
        counted["connection"] += 1
        connection = connect(*args, **kw)
        connection.set_trace_callback(lambda _: counted.update(["statement"]))
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    for name in ("request", "request_all"):
        counting(netlink.Session, name, lambda _: "request")
    lists = {nfnetlink.GET_RULE >> 8: "list of rules", conntrack.GET >> 8: "list of flows"}
    counting(netlink.Session, "dump", lambda args: lists.get(args[1] >> 8, "list"))
    counting(libnftables, "_execute", lambda _: "nft")
    return counted


COSTS = {
    "create": {"connection": 1, "statement": 45, "request": 7, "list of rules": 2},
    "connect": {"connection": 1, "statement": 72, "request": 7, "list": 2, "list of rules": 1},
    "disconnect": {"connection": 1, "statement": 68, "request": 5, "list of rules": 1},
    "remove": {"connection": 1, "statement": 55, "request": 3, "list of rules": 1},
}
"""Maximum number of each command's operations on a bridge network, by type. For types that are not listed, the maximum
is zero.

"connection" and "statement" count connections to the SQLite store and SQL statements. "request" counts netlink
requests, and "list" netlink requests for a list.

"list of rules": each command lists the firewall rules once to record the state of hawse's table. ``create`` lists the
rules a second time to look for chains of other programs that drop forwarded packets.

"request": connect and disconnect need one more netlink request, because the container is on other networks too.

"list": connect lists the links and the Unix sockets of the container's namespace, because hawse refuses a namespace
that belongs to a host.
"""


def test_every_command_keeps_to_its_budget(netns, verbs, spent):
    container = f"netns:{netns.name}"
    for name in ("first", "kept"):
        verbs("networks", "create", NetworkCreate(name))
        verbs("networks", "connect", name, container, EndpointSettings())
    over = {}
    for verb, *arguments in (
        ("create", NetworkCreate("third")),  # name comes third in the alphabet, so this network gets no default route
        ("connect", "third", container, EndpointSettings()),
        ("disconnect", "third", container),
        ("remove", "third"),
    ):
        sqlite.close_idle()
        spent.clear()
        verbs("networks", verb, *arguments)
        over[verb] = {what: number for what, number in spent.items() if number > COSTS[verb].get(what, 0)}
    assert not any(over.values()), over


ENTERED = """
import sys
from cli.app import App
from cli.root import run
from cli.warm.preload import import_all

import_all()
files = set()


def enter(frame, event, _):
    code = frame.f_code
    if event == "call" and "/engine/" in code.co_filename and code.co_name != "<module>":
        files.add(code.co_filename)


sys.setprofile(enter)
run(sys.argv[1:], App())
sys.setprofile(None)
sys.stderr.write("\\n".join(sorted(files)))
"""


def entered(host, *command):
    """Return the files of engine/ in which a command calls a function, in a process of its own."""
    argv = [sys.executable, "-c", ENTERED, *command]
    return host.run(*argv, env={**host.env(), "HAWSE_WARM": "off"}, cwd=CHECKOUT).stderr.split()


def test_a_command_enters_few_files_of_the_engine(host):
    host.hawse("network", "create", "first")
    host.hawse("run", "-d", "--name", "db", "hostfs", "sleep", "1d")
    create = entered(host, "network", "create", "app")
    connect = entered(host, "network", "connect", "app", "db")
    run = entered(host, "run", "-d", "-p", "8080:80", "--network", "app", "hostfs", "sleep", "1d")
    assert len(create) <= 20, create
    assert len(connect) <= 25, "\n".join(connect)
    assert len(run) <= 40, run
