"""What a command on a bridge network costs, counted: nothing is loaded or asked that it can do without."""

import json
import sys

import pytest

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
