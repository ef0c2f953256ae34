"""Ansible's collection community.docker works unmodified with hawse's API. `.ci/setup test` installs the collection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PLAYBOOK = Path(__file__).with_name("playbook.yml")
COLLECTIONS = Path(sys.prefix) / "share" / "ansible" / "collections"


def test_a_playbook_of_ansible(service, tmp_path):
    assert COLLECTIONS.is_dir(), "run `sh .ci/setup test`, which installs community.docker"
    result = tmp_path / "result.json"
    variables = {
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(tmp_path),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "DOCKER_HOST": service.url,
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), str(PLAYBOOK), "-e", f"result={result}"],
        env={**os.environ, **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(result.read_text())
    assert seen["first"]["changed"] is True
    settings = seen["first"]["container"]["NetworkSettings"]
    assert settings["Networks"]["n1"]["IPAddress"] == "10.86.0.9"
    assert settings["Ports"]["80/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": "8086"}]
    assert seen["again"]["changed"] is False, "the second time, nothing is to be changed"
    assert (seen["command"]["stdout"], seen["command"]["stderr"]) == ("data1", "err")
    assert [c["Name"] for c in seen["network"]["network"]["Containers"].values()] == ["web"]
    assert seen["removed"]["changed"] is True
    assert service.docker("ps", "-aq").stdout == ""
