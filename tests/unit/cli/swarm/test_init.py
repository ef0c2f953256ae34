"""The flag ``swarm init --default-addr-pool``, whose value is parsed like Go's pflag.IPNetSlice."""

from __future__ import annotations

import pytest

from cli.swarm.init import NETWORKS


@pytest.mark.parametrize(
    ("text", "networks"),
    [("", ()), ("10.9.0.0/16", ("10.9.0.0/16",)), ("10.9.1.2/16, fd00::1/48", ("10.9.0.0/16", "fd00::/48"))],
)
def test_host_bits_of_a_network_are_cleared(text, networks):
    assert NETWORKS.fold((), text) == networks
    assert NETWORKS.fold(("10.8.0.0/16",), text) == ("10.8.0.0/16", *networks)


@pytest.mark.parametrize(
    ("text", "bad"), [("10.9.0.0", "10.9.0.0"), ("10.9.0.0/33", "10.9.0.0/33"), ("10.9.0.0/16,foo", "foo"), (",", "")]
)
def test_what_is_no_network_is_refused_in_docker_s_words(text, bad):
    with pytest.raises(ValueError) as raised:
        NETWORKS.fold((), text)
    assert str(raised.value) == f"invalid string being converted to CIDR: {bad}"
