"""If stderr is a terminal, hawse adds a hint on what the user may do. In a pipe, stderr has only Docker's message."""

import subprocess

import pytest

from tests.conftest import new_host

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A host with the network app and the container web on it, which publishes port 8080."""
    with new_host(tmp_path_factory.mktemp("hints"), ipv6=True) as host:
        host.hawse("network", "create", "--subnet", "172.30.0.0/16", "app")
        host.hawse("run", "-d", "--name", "web", "--network", "app", "-p", "8080:80", "hostfs", "sleep", "1d")
        yield host


def test_a_mistyped_option_of_a_network(host):
    refused = host.hawse("network", "create", "-o", "com.hawse.bridge.spoof_gard=true", "typo", check=False)
    assert (refused.returncode, refused.stderr) == (
        1,
        "Error response from daemon: unknown option com.hawse.bridge.spoof_gard "
        "(did you mean com.hawse.bridge.spoof_guard?)\n",
    )
    create = ("network", "create", "-o", "com.docker.network.bridge.enable_ic=false")
    assert host.hawse(*create, "typo").stderr == ""
    assert host.error_on_terminal(*create, "typo2") == (
        "The option com.docker.network.bridge.enable_ic has no effect. "
        "Did you mean com.docker.network.bridge.enable_icc?\n"
    )
    assert host.error_on_terminal("network", "rm", "typo", "typo2") == ""


def test_a_subnet_of_the_host_s_own_network(host):
    create = ("network", "create", "--subnet", "192.168.99.0/24", "lan")
    assert host.hawse(*create).stderr == ""
    host.hawse("network", "rm", "lan")
    assert host.error_on_terminal(*create) == (
        "The subnet 192.168.99.0/24 overlaps with 192.168.99.11/24 on ext0: "
        "packets to one of them take the route of the other\n"
    )
    host.hawse("network", "rm", "lan")


def test_a_namespace_name_without_the_prefix_netns(host, netns):
    text = f"Error response from daemon: No such container: {netns.name}\n"
    assert host.hawse("network", "connect", "app", netns.name, check=False).stderr == text
    hint = f"\nIt is the name of a network namespace. To connect it, write netns:{netns.name}\n"
    assert host.error_on_terminal("network", "connect", "app", netns.name) == text + hint
    assert host.error_on_terminal("network", "connect", "app", "..") == text.replace(netns.name, "..")


def test_a_subnet_or_a_port_that_is_taken(host):
    create = ("network", "create", "--subnet", "172.30.7.0/24", "taken")
    text = "Error response from daemon: Pool overlaps with other one on this address space\n"
    assert host.hawse(*create, check=False).stderr == text
    assert host.error_on_terminal(*create) == f"{text}\n172.30.7.0/24 overlaps with 172.30.0.0/16 of the network app\n"
    run = ("run", "--rm", "-p", "127.0.0.1:8080:80", "hostfs", "true")
    assert "has port" not in host.hawse(*run, check=False).stderr
    assert host.error_on_terminal(*run).endswith("\n\nThe container web has port 8080/tcp of the host\n")
    run = ("run", "--rm", "-p", "8080:80", "hostfs", "true")
    assert host.error_on_terminal(*run).endswith("\n\nThe container web has port 8080/tcp of the host\n")


def test_a_port_that_another_program_has(host):
    program = "import socket, time; s = socket.create_server(('', 7000)); print(flush=True); time.sleep(60)"
    holder = host.popen("python3", "-c", program, stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        error = host.error_on_terminal("publish", "-p", "7000:70", "web")
        text, _, hint = error.rpartition("\n\n")
        assert text.endswith("listen tcp4 0.0.0.0:7000: bind: address already in use")
        program, _, command = hint.rstrip("\n").partition(". Which: ")
        assert program == "Another program of this host has port 7000/tcp"
        assert f"pid={holder.pid}," in host.sh(command)
    finally:
        holder.kill()
        holder.wait()


def test_an_address_that_the_host_does_not_have(host):
    publish = ("publish", "-p", "192.0.2.10:7001:70", "web")
    assert host.error_on_terminal(*publish).endswith(
        "bind: cannot assign requested address\n\n"
        "This host has no address 192.0.2.10. Its addresses: ip -brief address\n"
    )


@pytest.mark.parametrize("command", ["connect", "disconnect"])
def test_the_network_comes_before_the_container(host, command):
    text = "Error response from daemon: No such container: app\n"
    assert host.hawse("network", command, "web", "app", check=False).stderr == text
    hint = f"app is a network. The network comes first: hawse network {command} NETWORK CONTAINER"
    assert host.error_on_terminal("network", command, "web", "app") == f"{text}\n{hint}\n"
    assert host.error_on_terminal("network", command, "app", "ap") == text.replace("app", "ap")
    assert host.error_on_terminal("network", command, "bridge", "app") == text  # the order is right


@pytest.mark.parametrize(
    ("flags", "text", "hint"),
    [
        (
            ("-o", "com.docker.network.driver.mtu=70000"),
            "invalid argument",
            "com.docker.network.driver.mtu must be between 68 and 65535",
        ),
        (
            ("-o", "com.docker.network.bridge.name=averyveryverylongname"),
            "numerical result out of range",
            "com.docker.network.bridge.name is longer than 15 bytes",
        ),
        (
            ("-d", "macvlan", "-o", "parent=eth9"),
            "invalid subinterface vlan name eth9, example formatting is eth0.10",
            "The host has no interface eth9. The interfaces: ip link",
        ),
    ],
)
def test_an_option_that_the_kernel_refuses(host, flags, text, hint):
    error = f"Error response from daemon: {text}\n"
    assert host.hawse("network", "create", *flags, "bad", check=False).stderr == error
    assert host.error_on_terminal("network", "create", *flags, "bad") == f"{error}\n{hint}\n"
