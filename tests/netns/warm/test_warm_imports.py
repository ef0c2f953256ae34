"""The warm server has imported every module that frequent commands import, so that no command waits for an import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.netns

SCRIPT = """
import io, os, sys
from cli.warm import prefault, preload
preload.import_all()
prefault.create_scratch_host()
before = set(sys.modules)
print(*sorted(before))
for line in sys.stdin.read().splitlines():
    code = prefault.run(line.split(), prefault.App(stdout=io.BytesIO()))
    assert code == 0, line
    print(line.split()[0], *sorted(set(sys.modules) - before))
"""
COMMANDS = """\
network create --subnet 10.9.0.0/24 app
network ls
network inspect app
run -d --name web -p 8080:80 hostfs sleep 1d
network connect app web
port web
ps
inspect web
network disconnect app web
rm -f web
network rm app
"""


@pytest.fixture(scope="module")
def imported(module_host):
    """The lines of the script: the modules of the server, and for each command its name and the modules it imports."""
    environment = module_host.env(PYTHONPATH=str(Path(__file__).parents[3]))
    command = ["ip", "netns", "exec", module_host.name, sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, input=COMMANDS, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_commands_import_no_module_that_the_server_has_not_imported(imported):
    assert imported[1:] == [line.split()[0] for line in COMMANDS.splitlines()]


def test_the_server_imports_no_large_library_that_only_rare_commands_use(imported):
    assert {"cryptography", "rich"}.isdisjoint(imported[0].split())
