"""A container cannot make the commands on other containers fail through its /etc files."""

from __future__ import annotations

import pytest

from tests.conftest import until

pytestmark = pytest.mark.netns


def test_a_container_that_runs_its_hosts_file_prevents_no_start_of_another(shared_host):
    host = shared_host
    host.hawse("run", "-d", "--name", "db", "hostfs", "sleep", "1000")
    host.hawse("run", "-d", "--name", "app", "--link", "db", "hostfs", "sleep", "1000")
    host.hawse("exec", "app", "sh", "-c", "cat /bin/sleep > /etc/hosts; chmod 755 /etc/hosts")
    host.hawse("exec", "-d", "app", "/etc/hosts", "500")
    until(lambda: "/etc/hosts 500" in host.hawse("exec", "app", "ps", "ax").stdout)
    host.hawse("restart", "-t", "0", "db")
    host.hawse("network", "create", "other")
    host.hawse("network", "connect", "other", "app")
    host.hawse("network", "disconnect", "other", "app")
    assert host.hawse("ps", "--format", "{{.Names}}").stdout.split() == ["app", "db"]
    host.hawse("rm", "-f", "app", "db")
    host.hawse("network", "rm", "other")
