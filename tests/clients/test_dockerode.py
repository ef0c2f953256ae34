"""dockerode (Node.js) works unmodified with hawse's API. `.ci/setup test` installs dockerode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("dockerode.js")
MODULES = Path(sys.prefix) / "node_modules"


def test_a_program_with_dockerode(service):
    assert (MODULES / "dockerode").is_dir(), "run `sh .ci/setup test`, which installs dockerode"
    done = subprocess.run(
        ["node", str(PROGRAM), str(service.socket)],
        env={**os.environ, "NODE_PATH": str(MODULES)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen.pop("events") == ["create", "connect", "disconnect", "destroy"]
    assert seen == {
        "version": "1.45",
        "networks": ["n1"],
        "refused": [403, "Pool overlaps with other one on this address space"],
        "address": "10.85.0.9",
        "ports": {"HostIp": "0.0.0.0", "HostPort": "8085"},
        "exec": ["data", "err\n"],
        "code": 5,
        "logs": "out\n",
        "followed": ["out\n", "err\n"],
        "waited": 137,
        "run": 4,
        "left": 0,
    }
