"""/etc/hosts has the contents that were recorded from dockerd 26.1.5."""

import pytest

from engine.containers.etc_files import (
    LinkedHost,
    hosts_file,
    own_lines,
    own_names,
    with_address,
    without_link,
    without_own_lines,
)
from engine.model import ContainerConfig

LOCAL = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def config(hostname="f444b571eb58", domainname=""):
    return ContainerConfig("bb", hostname=hostname, domainname=domainname)


def test_the_line_of_a_removed_link_leaves_the_hosts_file():
    kept = LOCAL + "1.2.3.4\tdb\n172.17.0.2\tdb2 f444b571eb58 dbs\n172.17.0.6\thh\n"
    assert without_link(kept + "172.17.0.2\tdb f444b571eb58 dbs\n", "db") == kept
    assert without_link(kept, "d.") == kept


def test_the_hosts_file_of_a_container_on_a_bridge():
    assert hosts_file(config(), ["172.17.0.6"]) == LOCAL + "172.17.0.6\tf444b571eb58\n"


def test_the_hosts_file_of_a_container_without_network():
    assert hosts_file(config(), []) == LOCAL


def test_a_sandbox_without_ipv6_has_no_ipv6_names():
    assert hosts_file(config(), ["10.77.0.129"], ipv6=False) == "127.0.0.1\tlocalhost\n10.77.0.129\tf444b571eb58\n"


def test_extra_hosts_come_before_the_own_address():
    extra = ["a:1.2.3.4", "gw:host-gateway", "b:::1"]
    text = hosts_file(config("hh"), ["172.17.0.6"], extra_hosts=extra, host_gateway="172.17.0.1")
    assert text == LOCAL + "1.2.3.4\ta\n172.17.0.1\tgw\n::1\tb\n172.17.0.6\thh\n"


def test_links_come_after_extra_hosts():
    links = [
        LinkedHost("172.17.0.2", "x", "25324e68e5a0", "deflt"),
        LinkedHost("172.17.0.5", "priv", "6cf8a6748397", "priv"),
    ]
    text = hosts_file(config(), ["172.17.0.6"], extra_hosts=["z:9.9.9.9"], links=links)
    assert text == (
        LOCAL + "9.9.9.9\tz\n172.17.0.2\tx 25324e68e5a0 deflt\n172.17.0.5\tpriv 6cf8a6748397\n"
        "172.17.0.6\tf444b571eb58\n"
    )


def test_a_link_with_a_new_address_keeps_its_line():
    text = "172.17.0.2\tx host deflt\n172.17.0.5\txy x\n172.17.0.2\tx.dom x\n"
    assert with_address(text, "x", "172.17.0.9") == "172.17.0.9\tx host deflt\n172.17.0.5\txy x\n172.17.0.9\tx.dom x\n"


def test_a_link_with_a_new_address_keeps_the_line_of_the_other_ip_version():
    text = "172.17.0.2\tx host dbs\nfd00::2\tx host dbs\n"
    assert with_address(text, "x", "172.17.0.9") == text.replace("172.17.0.2", "172.17.0.9")
    assert with_address(text, "x", "fd00::9") == text.replace("fd00::2", "fd00::9")


@pytest.mark.parametrize(
    ("hostname", "domainname", "names"),
    [("w", "", "w"), ("w", "ex.org", "w.ex.org w"), ("w.ex.org", "", "w.ex.org w"), ("hh.dom", "dd", "hh.dom.dd hh")],
)
def test_a_full_name_is_followed_by_its_first_label(hostname, domainname, names):
    assert own_names(config(hostname, domainname)) == names


def test_connecting_appends_and_disconnecting_drops_every_own_line():
    text = hosts_file(config(), ["172.18.0.2"], extra_hosts=["f444b571eb58.x:1.2.3.4"])
    connected = text + own_lines(config(), ["10.77.0.129", "fd77::3"])
    assert connected.endswith("172.18.0.2\tf444b571eb58\n10.77.0.129\tf444b571eb58\nfd77::3\tf444b571eb58\n")
    assert without_own_lines(connected, config()) == LOCAL + "1.2.3.4\tf444b571eb58.x\n"
