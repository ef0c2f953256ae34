"""The ways in which tests run a hawse command.

- ``shared`` (the default): through one warm server, which all hosts of a test process share.
- ``installed``: through the script ``hawse``, as users do. The first command on a host starts the host's warm server.
- ``cold``: each command in its own process, without a warm server.

A shared server starts once for a test process, and not once for each host. The environment variable HAWSE_TEST_COMMANDS
names the way. ``.ci/slow`` runs the tests in the other two ways. `Host.hawse` sends its commands to the shared server
itself (`tests.shared_client`). Other processes use the launcher (`tests.shared_launcher`).
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.installation import CHECKOUT, packages, script

COLD = [sys.executable, "-m", "cli"]
WARM = [str(script())]
LAUNCHER = CHECKOUT / "tests/shared_launcher.py"
BOOT = """
import os, sys
sys.path.insert(0, sys.argv.pop(1))
from cli.warm import __main__, preload, worker
USED = ("engine.diagnosis", "cli.doctor", "engine.swarm")
preload.RESIDENT = (*(name for name in preload.RESIDENT if name not in USED), "engine.swarm.server")
worker.warm_up = lambda until: None

def run_after_code(arguments, app, run=worker.run_command):
    if code := os.environ.pop("HAWSE_TEST_CODE", ""):
        del os.environ["HAWSE_WARM"]
        exec(code, {})
    return run(arguments, app)

worker.run_command = run_after_code
__main__.main()
"""
"""The program of the shared server.

It imports the diagnosis and the commands of the cluster in advance, because tests run hundreds of them. Its idle
children do not rehearse commands, because a rehearsal would take 20 ms of processor time a command. See `with_code` for
HAWSE_TEST_CODE.
"""
COLD_AFTER_CODE = """
import os
exec(os.environ.pop("HAWSE_TEST_CODE"), {})
from cli.__main__ import main
main()
"""
START_TIMEOUT_SECONDS = 20


def launcher() -> list[str]:
    """Return the first words of a command line that runs hawse in the way that HAWSE_TEST_COMMANDS names."""
    ways = {"cold": lambda: COLD, "installed": lambda: WARM, "shared": lambda: shared_server().launcher()}
    return ways[os.environ.get("HAWSE_TEST_COMMANDS", "shared")]()


def with_code(launcher: list[str], code: str) -> tuple[list[str], dict[str, str]]:
    """Return the first words of a command line, and its environment variables, that first execute Python ``code``.

    The code and the command run in one process: a child of the shared server if ``launcher`` uses the shared server,
    else a new process. HAWSE_WARM=only prevents that the command runs without the code if the server does not answer.
    """
    if uses_shared_server(launcher):
        return launcher, {"HAWSE_TEST_CODE": code, "HAWSE_WARM": "only"}
    return [sys.executable, "-c", COLD_AFTER_CODE], {"HAWSE_TEST_CODE": code}


def uses_shared_server(launcher: list[str]) -> bool:
    """Return whether a command line with these first words runs on the shared server."""
    return str(LAUNCHER) in launcher


def in_own_process(launcher: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the first words of a command line, and its environment variables, that run hawse in a new process.

    If ``launcher`` uses the shared server, the commands that this process starts use the shared server too. Because a
    server refuses a process of another installation, the process then has the server's interpreter and packages.
    """
    if uses_shared_server(launcher):
        return [launcher[0], "-I", "-X", "utf8", "-m", "cli"], {"HAWSE_WARM": "use"}
    return COLD, {"HAWSE_WARM": "off"}


def offer_server(launcher: list[str], run_dir: Path) -> None:
    """Let the commands that hawse itself starts on a host use the shared server, if ``launcher`` uses it; idempotent.

    The supervisor starts such a command at each end of a container. The command looks for a server in HAWSE_RUN, which
    hawse must have created.
    """
    if uses_shared_server(launcher):
        with suppress(OSError):
            os.symlink(f"{launcher[-1]}/warm.sock", run_dir / "warm.sock")


class SharedServer:
    """A warm server in its own directory. It runs the commands of all hosts."""

    def __init__(self) -> None:
        self.owner, self.run_dir = os.getpid(), tempfile.mkdtemp(prefix="hawse-tests-warm-")
        self.prefix = script().parent.parent
        self.interpreter = str(self.prefix / "bin/python3")
        self.process = self.start()
        self.identity = self.read_identity()
        atexit.register(self.end)

    def launcher(self) -> list[str]:
        """Return the first words of a command line that runs hawse on this server; start the server if it has ended."""
        if self.process.poll() is not None:
            self.process = self.start()
        return [self.interpreter, "-I", "-S", "-X", "utf8", str(LAUNCHER), self.run_dir]

    def read_identity(self) -> bytes:
        """Return the bytes by which the server recognizes its own installation (`cli.launcher.launch.identity`)."""
        code = "import sys; sys.path.insert(0, sys.argv[1]); from cli.launcher.launch import identity; "
        code += "sys.stdout.buffer.write(identity())"
        command = [self.interpreter, "-I", "-S", "-X", "utf8", "-c", code, str(packages(self.prefix))]
        return subprocess.check_output(command)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server and wait until it listens. If the server does not start, commands run in their own
        processes.

        The kernel ends the server if this process is killed.
        """
        environment = {"PATH": os.environ["PATH"], "HAWSE_RUN": self.run_dir, "HAWSE_ROOT": f"{self.run_dir}/root"}
        command = [self.interpreter, "-I", "-X", "utf8", "-c", BOOT, str(packages(self.prefix))]
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], env=environment, cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not Path(self.run_dir, "warm.sock").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return process

    def end(self) -> None:
        """End the server. A forked child does nothing, because its parent still uses the server."""
        if os.getpid() == self.owner:
            self.process.terminate()
            self.process.wait()
            shutil.rmtree(self.run_dir, ignore_errors=True)


@cache
def shared_server() -> SharedServer:
    """Start the server that the hosts of this process share."""
    return SharedServer()
