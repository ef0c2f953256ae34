"""Run commands inside a host and measure their time there. The time to enter the host's namespace is not measured.

The runner process reads its requests from stdin, one per line. The measured time begins just before the command's
process is created, and ends when that process has ended. The command's output goes to a file, because a pipe stays open
as long as background processes of the command run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from engine.eventloop.readiness import wait_readable
from tests.conftest import CHECKOUT, Netns


@dataclass(frozen=True)
class Outcome:
    """Result of a command: seconds, exit code and output."""

    seconds: float
    code: int
    output: str


class Runner:
    """The client of the runner process. The client stays outside the host's namespace and sends the requests."""

    def __init__(self, host: Netns, env: dict[str, str]) -> None:
        argv = (sys.executable, "-m", "tests.benchmark.runner")
        self._process = host.popen(
            *argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=CHECKOUT
        )

    def __call__(self, *argv: str, timeout: float = 600, check: bool = True, **env: str) -> Outcome:
        """Run a command in the host and return its outcome."""
        json.dump({"argv": argv, "timeout": timeout, "env": env}, self._process.stdin)
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        outcome = Outcome(**json.loads(self._process.stdout.readline()))
        if check and outcome.code:
            raise RuntimeError(f"{argv[:12]}: exit {outcome.code}: {outcome.output[-2000:]}")
        return outcome

    def pids(self) -> set[int]:
        """Return the pid of the runner process inside the host, as a set."""
        return {self._process.pid}  # `ip netns exec` replaces itself by the runner, so the pid stays the same

    def stop(self) -> None:
        """Stop the runner process inside the host."""
        self._process.stdin.close()
        self._process.wait()


def run(argv: list[str], timeout: float, env: dict[str, str]) -> Outcome:
    """Run a command and return its outcome with the time that the command took."""
    environment = {**os.environ, **env}
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        await_end(process, timeout)
        seconds = time.perf_counter() - started
        code = process.wait()
        output.seek(0)
        return Outcome(seconds, code, output.read().decode(errors="replace"))


def await_end(process: subprocess.Popen, timeout: float) -> None:
    """Wait until a process has ended, or kill the process after ``timeout`` seconds.

    The function uses a pidfd, because `Popen.wait` with a timeout checks for the process's end only every 50 ms.
    """
    pidfd = os.pidfd_open(process.pid)
    if not wait_readable([pidfd], seconds=timeout):
        process.kill()
    os.close(pidfd)


def serve() -> None:
    """Read requests from stdin, run their commands and print the outcomes, until stdin is closed."""
    for line in sys.stdin:
        print(json.dumps(vars(run(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    serve()
