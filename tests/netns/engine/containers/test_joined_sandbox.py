"""Containers that join another container's sandbox, which they name before that container exists.

Docker 26.1.5 keeps the name in such a network mode. Its containers behave in the same way, except one: a link to a
container that joins itself makes its daemon wait for ever.
"""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.netns


def test_a_container_starts_after_the_container_that_it_names_was_created(host):
    host.hawse("create", "--name", "aa", "--network", "container:bb", "hostfs", "sleep", "1d")
    early = host.hawse("start", "aa", check=False)
    assert early.stderr.startswith("Error response from daemon: No such container: bb\n")
    owner = host.hawse("run", "-d", "--name", "bb", "hostfs", "sleep", "1d").stdout.strip()
    host.hawse("start", "aa")
    assert f"172.17.0.2\t{owner[:12]}\n" in host.hawse("exec", "aa", "cat", "/etc/hosts").stdout
    shown = [json.loads(host.hawse("inspect", name).stdout)[0] for name in ("aa", "bb")]
    assert shown[0]["HostConfig"]["NetworkMode"] == "container:bb"
    assert shown[0]["HostsPath"] == shown[1]["HostsPath"]
    host.hawse("exec", "aa", "busybox", "ping", "-c1", "-W5", "172.17.0.1")
    assert host.hawse("stats", "--no-stream", "--format", "{{.NetIO}}", "aa").stdout != "0B / 0B\n"
    host.hawse("create", "--name", "ll", "--link", "aa:x", "hostfs", "sleep", "1d")
    assert host.hawse("inspect", "-f", "{{.HostConfig.Links}}", "ll").stdout == "[/bb:/ll/x]\n"


def test_a_container_that_joins_itself_does_not_start_and_cannot_be_linked(host):
    host.hawse("create", "--name", "aa", "--network", "container:aa", "hostfs", "sleep", "1d")
    started = host.hawse("start", "aa", check=False)
    assert started.stderr.startswith("Error response from daemon: cannot join own network\n")
    linked = host.hawse("create", "--link", "aa:x", "hostfs", "sleep", "1d", check=False, timeout=20)
    assert linked.stderr.startswith(
        "Error response from daemon: could not get container for aa: cannot join own network"
    )
    assert host.hawse("stats", "--no-stream", "--format", "{{.NetIO}}", "aa").stdout == "0B / 0B\n"


def test_containers_that_join_each_other_cannot_be_linked(host):
    host.hawse("create", "--name", "aa", "--network", "container:bb", "hostfs", "sleep", "1d")
    host.hawse("create", "--name", "bb", "--network", "container:aa", "hostfs", "sleep", "1d")
    linked = host.hawse("create", "--link", "aa:x", "hostfs", "sleep", "1d", check=False, timeout=20)
    assert "could not get container for aa: cannot join own network" in linked.stderr
    started = host.hawse("start", "aa", check=False)
    assert "cannot join network of a non running container" in started.stderr
