"""testcontainers works unmodified with hawse's API. Its helper container Ryuk is disabled, because the image of Ryuk
would have to be pulled from a registry.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("testcontainers_program.py")


def test_a_program_with_testcontainers(service):
    variables = {"DOCKER_HOST": service.url, "TESTCONTAINERS_RYUK_DISABLED": "true"}
    done = service.host.run(sys.executable, str(PROGRAM), env={**os.environ, **variables})
    seen = json.loads(done.stdout)
    network = seen.pop("name")
    assert seen == {
        "from the host": "content\n",
        "by its alias": "content\n",
        "environment": "1\n",
        "logs": ["ready\n", ""],
    }
    assert service.docker("ps", "-aq").stdout == ""
    assert network not in service.docker("network", "ls", "--format", "{{.Name}}").stdout.split()
