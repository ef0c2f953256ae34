"""The start of a container follows dockerd's rules.

The tests check which starts are refused, which settings a start uses, and what a stopped container keeps.
"""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.netns


def inspect(host, container, template):
    return host.hawse("inspect", "-f", template, container).stdout.rstrip("\n")


def test_a_network_can_be_removed_as_soon_as_run_returns(host):
    host.hawse("network", "create", "n1")
    host.hawse("run", "--name", "c1", "--network", "n1", "hostfs", "true")
    host.hawse("network", "disconnect", "n1", "c1")
    assert host.hawse("network", "rm", "n1").stdout == "n1\n"


def test_a_second_connect_changes_nothing(host):
    host.hawse("network", "create", "--subnet", "10.81.0.0/24", "n1")
    host.hawse("create", "--name", "c1", "hostfs", "true")
    host.hawse("network", "connect", "--alias", "first", "n1", "c1")
    host.hawse("network", "connect", "--alias", "second", "--ip", "10.81.0.9", "n1", "c1")
    settings = json.loads(inspect(host, "c1", "{{json .NetworkSettings.Networks.n1}}"))
    assert (settings["Aliases"], settings["IPAMConfig"]) == (["first"], {})


def test_a_start_refused_for_its_network_leaves_the_last_exit_code(host):
    host.hawse("network", "create", "n1")
    host.hawse("run", "--name", "c1", "--network", "n1", "hostfs", "sh", "-c", "exit 7", check=False)
    host.hawse("network", "rm", "n1")
    refused = host.hawse("start", "c1", check=False)
    assert "not found" in refused.stderr
    assert inspect(host, "c1", "{{.State.Status}} {{.State.ExitCode}}") == "exited 7"


def test_the_hosts_own_sysctls_are_not_a_containers_to_set(host):
    before = host.sh("cat /proc/sys/net/core/somaxconn")
    sysctl = ("--sysctl", "net.core.somaxconn=77")
    refused = host.hawse("run", "--rm", "--network", "host", *sysctl, "hostfs", "true", check=False)
    assert 'sysctl "net.core.somaxconn" not allowed in host network namespace' in refused.stderr
    assert host.sh("cat /proc/sys/net/core/somaxconn") == before


def test_link_variables_have_ports_and_variables_of_the_target(host):
    host.hawse("run", "-d", "--name", "db", "--expose", "5432", "-e", "SECRET=42", "hostfs", "sleep", "1d")
    variables = host.hawse("run", "--rm", "--name", "web", "--link", "db:store", "hostfs", "env").stdout.splitlines()
    assert {"STORE_PORT=tcp://172.17.0.2:5432", "STORE_NAME=/web/store", "STORE_ENV_SECRET=42"} <= set(variables)
    host.hawse("create", "--name", "app", "--link", "db:d", "hostfs", "true")
    names = host.hawse("ps", "--no-trunc", "--format", "{{.Names}}").stdout
    assert names == "app/d,db\n"


def test_a_container_that_joins_another_sandbox_has_its_host_name_and_files(host):
    host.hawse("run", "-d", "--name", "base", "-h", "basehost", "hostfs", "sleep", "1d")
    host.hawse("run", "-d", "--name", "joined", "--network", "container:base", "hostfs", "sleep", "1d")
    assert host.hawse("exec", "joined", "cat", "/proc/sys/kernel/hostname").stdout == "basehost\n"
    assert inspect(host, "joined", "{{.Config.Hostname}} {{.NetworkSettings.SandboxKey}}") == "basehost "
    assert inspect(host, "joined", "{{.HostsPath}}") == inspect(host, "base", "{{.HostsPath}}")


def test_all_containers_in_host_mode_show_one_link_to_the_hosts_namespace(host):
    for name in ("h1", "h2"):
        host.hawse("run", "-d", "--name", name, "--network", "host", "hostfs", "sleep", "1d")
    key = inspect(host, "h1", "{{.NetworkSettings.SandboxKey}}")
    assert key == inspect(host, "h2", "{{.NetworkSettings.SandboxKey}}") == str(host.run_dir / "netns" / "default")
    host.sh(f"nsenter --net={key} ip link show ext0")


def test_a_container_cannot_join_its_own_sandbox(host):
    refused = host.hawse("run", "-d", "--name", "own", "--network", "container:own", "hostfs", "true", check=False)
    assert refused.returncode == 125
    assert "Error response from daemon: cannot join own network." in refused.stderr


def test_a_link_to_a_sharer_leads_to_the_owner_of_the_sandbox(host):
    host.hawse("run", "-d", "--name", "db", "hostfs", "sleep", "1d")
    host.hawse("run", "-d", "--name", "beside", "--network", "container:db", "hostfs", "sleep", "1d")
    host.hawse("run", "-d", "--name", "web", "--link", "beside:store", "hostfs", "sleep", "1d")
    assert inspect(host, "web", "{{json .HostConfig.Links}}") == '["/db:/web/store"]'
    assert "172.17.0.2\tstore" in host.hawse("exec", "web", "cat", "/etc/hosts").stdout


def test_a_link_to_the_hosts_network_is_refused(host):
    host.hawse("run", "-d", "--name", "onhost", "--network", "host", "hostfs", "sleep", "1d")
    host.hawse("create", "--name", "beside", "--network", "container:onhost", "hostfs", "true")
    for target in ("onhost", "beside"):
        refused = host.hawse("create", "--name", "web", "--link", target, "hostfs", "true", check=False)
        assert "conflicting options: host type networking can't be used with links" in refused.stderr


def test_a_link_local_address_must_be_link_local(host):
    host.hawse("network", "create", "n1")
    host.hawse("run", "-d", "--name", "c1", "hostfs", "sleep", "1d")
    refused = host.hawse("network", "connect", "--link-local-ip", "10.0.0.5", "n1", "c1", check=False)
    assert refused.stderr == "Error response from daemon: invalid link local IP address: 10.0.0.5\n"
    host.hawse("network", "connect", "--link-local-ip", "169.254.3.4", "n1", "c1")


def test_files_that_the_user_binds_replace_those_of_hawse(host, tmp_path):
    for name in ("resolv.conf", "hosts"):
        (tmp_path / name).write_text(f"mine: {name}\n")
    binds = ("-v", f"{tmp_path}/resolv.conf:/etc/resolv.conf:ro", "-v", f"{tmp_path}/hosts:/etc/hosts")
    host.hawse("run", "-d", "--name", "c1", *binds, "hostfs", "sleep", "1d")
    host.hawse("run", "-d", "--name", "beside", "--network", "container:c1", "hostfs", "sleep", "1d")
    for container in ("c1", "beside"):
        text = host.hawse("exec", container, "cat", "/etc/resolv.conf", "/etc/hosts").stdout
        assert text == "mine: resolv.conf\nmine: hosts\n"
        assert inspect(host, container, "{{.HostsPath}}") == str(tmp_path / "hosts")
    host.hawse("network", "create", "n1")
    host.hawse("network", "connect", "n1", "c1")
    assert (tmp_path / "hosts").read_text() == "mine: hosts\n"


@pytest.mark.parametrize("interface", ["all", "lo"])
def test_the_hosts_file_has_no_ipv6_where_ipv6_is_off(host, interface):
    sysctl = f"net.ipv6.conf.{interface}.disable_ipv6=1"
    text = host.hawse("run", "--rm", "--sysctl", sysctl, "hostfs", "cat", "/etc/hosts").stdout
    assert text.startswith("127.0.0.1\tlocalhost\n172.17.0.2\t")
