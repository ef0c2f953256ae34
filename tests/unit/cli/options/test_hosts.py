"""Flags for addresses, domains, extra hosts and links; error texts are those of Docker 26.1.5."""

import pytest

from cli.options.address import ip_address, mac_address
from cli.options.hosts import extra_host, link, search_domain


@pytest.mark.parametrize(
    ("read", "value", "result"),
    [
        (ip_address, " 1.1.1.1 ", "1.1.1.1"),
        (ip_address, "fd00:0::53", "fd00::53"),
        (ip_address, "::ffff:1.2.3.4", "1.2.3.4"),
        (mac_address, "02-AA-BB-CC-DD-01", "02-AA-BB-CC-DD-01"),
        (mac_address, "02aa.bbcc.dd01", "02aa.bbcc.dd01"),
        (search_domain, " a.test. ", "a.test"),
        (search_domain, ".", "."),
        (extra_host, "a:1.2.3.4", "a:1.2.3.4"),
        (extra_host, "a=[::1]", "a:::1"),
        (extra_host, "a:0:0::1", "a:0:0::1"),
        (extra_host, "a:host-gateway", "a:host-gateway"),
        (link, "db:alias", "db:alias"),
    ],
)
def test_valid_hosts_and_addresses_are_read(read, value, result):
    assert read(value) == result


@pytest.mark.parametrize(
    ("read", "value", "text"),
    [
        (ip_address, "bogus", "IP address is not correctly formatted: bogus"),
        (ip_address, "1.2.3.04", "IP address is not correctly formatted: 1.2.3.04"),
        (ip_address, "fe80::1%eth0", "IP address is not correctly formatted: fe80::1%eth0"),
        (mac_address, "02:00:00:00:00", "02:00:00:00:00 is not a valid mac address"),
        (mac_address, "02:00-00:00:00:00", "02:00-00:00:00:00 is not a valid mac address"),
        (search_domain, "bad domain", "bad domain is not a valid domain"),
        (search_domain, "", " is not a valid domain"),
        (search_domain, "1.2", "1.2 is not a valid domain"),
        (extra_host, "foo", 'bad format for add-host: "foo"'),
        (extra_host, "a:b=::1", 'bad format for add-host: "a:b=::1"'),
        (extra_host, "a:b:c", 'invalid IP address in add-host: "b:c"'),
        (link, "", "empty string specified for links"),
        (link, "a:b:c", "bad format for links: a:b:c"),
    ],
)
def test_bad_values_have_dockers_text(read, value, text):
    with pytest.raises(ValueError) as caught:
        read(value)
    assert str(caught.value) == text
