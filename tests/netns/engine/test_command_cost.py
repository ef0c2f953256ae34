"""What a command on a bridge network costs, counted: nothing is loaded or asked that it can do without."""

import json
import os
import sys

import pytest

from drivers.linux import netns as namespaces
from engine import sandbox
from engine.core import open_engine
from engine.model import EndpointSettings, NetworkCreate
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.netns

LISTED = "import json, sys; json.dump(sorted(sys.modules), open(sys.argv.pop(1), 'w'))"
COLD = "import sys; from cli.app import App; from cli.root import run; code = run(sys.argv[2:], App()); "


def modules_of(host, tmp_path, *command):
    """The modules that one command loads."""
    listing = tmp_path / "modules"
    argv = [sys.executable, "-c", f"{COLD}{LISTED}; sys.exit(code)", str(listing), *command]
    host.run(*argv, env=host.env(), cwd=CHECKOUT)
    return json.loads(listing.read_text())


def test_bridge_networks_do_without_the_library_that_knows_all_of_netlink(host, tmp_path):
    for command in (["network", "create", "app"], ["network", "rm", "app"]):
        loaded = modules_of(host, tmp_path, *command)
        assert "drivers.linux.link" in loaded
        assert not [name for name in loaded if name.partition(".")[0] in ("pyroute2", "asyncio")]


@pytest.fixture
def verbs(host, monkeypatch):
    """The engine of the host, called in its namespace by this process."""
    monkeypatch.setenv("HAWSE_WARM", "off")
    for name, value in host.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HAWSE_CONFIG", os.devnull)
    engine = open_engine()
    return lambda kind, verb, *given: namespaces.inside(host.path, lambda: getattr(getattr(engine, kind), verb)(*given))


def test_routes_are_set_where_others_hold_them_now_and_left_alone_else(netns, verbs, monkeypatch):
    """Networks z, then b, which is first in the alphabet and takes the default route, then m, which is neither."""
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
