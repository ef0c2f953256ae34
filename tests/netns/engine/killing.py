"""Helper for tests: run a hawse command and kill it when it calls a given function."""

import sys

from tests.conftest import CHECKOUT

KILLED = "import os, pkgutil, sys; from cli.app import App; from cli.root import run\n"
KILLED += (
    "m = pkgutil.resolve_name({module!r})\nm.{name} = lambda *a, **k: os.kill(os.getpid(), 9)\nrun(sys.argv[1:], App())"
)


def killed(host, where, *command):
    """Run a hawse command on a host and kill the command when it calls the function ``where``."""
    module, _, name = where.rpartition(".")
    code = KILLED.format(module=module, name=name)
    done = host.run(sys.executable, "-c", code, *command, env=host.env(), cwd=CHECKOUT, check=False)
    assert done.returncode == -9
