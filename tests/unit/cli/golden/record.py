"""Record expected outputs from a real docker 26.1 client: ``python3 tests/unit/cli/golden/record.py``.

The script runs the command of each ``$`` line of errors.txt, and records its output and errors there. It also records
the help of each command in HELP and HELP_WITH_DAEMON, in one file each. Errors of the command line and most help texts
need no daemon. In the recorded texts, hawse's name replaces Docker's name.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
HELP = [
    "network", "network connect", "network create", "network disconnect", "network inspect", "network ls",
    "network prune", "network rm", "port", "container port", "inspect", "images", "rmi", "import", "stop", "restart",
    "kill", "rm", "ps", "exec", "logs", "rename", "wait", "attach", "container ls", "container inspect",
    "container prune", "container rm", "image ls", "image rm", "image import", "image inspect",
]  # fmt: skip

# The help of these commands hides flags that the daemon does not support. A daemon must therefore answer at
# DOCKER_HOST.
HELP_WITH_DAEMON = ["run", "create", "start", "container run", "system df", "system prune"]


def renamed(text: str) -> str:
    return re.sub(r"\bdocker(?=[ ':])", "hawse", text)


def docker(line: str, host: str = "unix:///nonexistent") -> subprocess.CompletedProcess[str]:
    # The recorded client must find no daemon, because the script records only the output of the client itself.
    env = {**os.environ, "DOCKER_HOST": host}
    return subprocess.run(["docker", *shlex.split(line)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          check=False, env=env)  # fmt: skip


def transcript(line: str) -> str:
    ran = docker(line)
    text = [f"$ {line}", f"exit: {ran.returncode}"]
    for mark, stream in (("o", ran.stdout), ("e", ran.stderr)):
        text += [f"{mark}| {line_}" for line_ in renamed(stream).split("\n")[:-1]]
    return "\n".join(text) + "\n"


def main() -> None:
    for line in HELP:
        (HERE / f"{line.replace(' ', '-')}.txt").write_text(renamed(docker(f"{line} --help").stdout))
    for line in HELP_WITH_DAEMON if "DOCKER_HOST" in os.environ else ():
        text = docker(f"{line} --help", os.environ["DOCKER_HOST"]).stdout
        (HERE / f"{line.replace(' ', '-')}.txt").write_text(renamed(text))
    errors = HERE / "errors.txt"
    lines = [line[2:] for line in errors.read_text().split("\n") if line.startswith("$ ")]
    errors.write_text("\n".join(map(transcript, lines)))


if __name__ == "__main__":
    main()
