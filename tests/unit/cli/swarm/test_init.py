"""``hawse swarm init``: its networks are parsed like Go's pflag.IPNetSlice, and its files must be readable."""

from __future__ import annotations

import pytest

from cli.swarm.init import NETWORKS


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("", ()),
        ('""', ()),
        ("10.9.0.0/16", ("10.9.0.0/16",)),
        ("10.9.1.2/16 , fd00::1/48", ("10.9.0.0/16", "fd00::/48")),
        ('"10.9.0.0/16,10.7.0.0/16', ("10.9.0.0/16", "10.7.0.0/16")),
        ("`10.9.0.0/16'", ("10.9.0.0/16",)),
    ],
)
def test_host_bits_are_cleared_and_quote_characters_are_ignored(text, networks):
    assert NETWORKS.fold((), text) == networks
    assert NETWORKS.fold(("10.8.0.0/16",), text) == ("10.8.0.0/16", *networks)


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("10.9.0.0", "10.9.0.0"),
        ("10.9.0.0/33", "10.9.0.0/33"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/255.0.0.0"),
        ("10.0.0.0/0.255.255.255", "10.0.0.0/0.255.255.255"),
        ("10.9.0.0/16,foo", "foo"),
        ('10.9.0.0/16, "fo"o', " foo"),
        (",", ""),
    ],
)
def test_what_is_no_network_is_refused_in_docker_s_words(text, bad):
    with pytest.raises(ValueError) as raised:
        NETWORKS.fold((), text)
    assert str(raised.value) == f"invalid string being converted to CIDR: {bad}"


@pytest.mark.parametrize(("content", "problem"), [(None, "no such file or directory"), (b"\xff", "not a PEM file")])
def test_a_file_that_cannot_be_read_is_named_as_given(cli, tmp_path, content, problem):
    path = tmp_path / "CA.pem"
    if content:
        path.write_bytes(content)
    result = cli("swarm", "init", "--cacert", str(path))
    assert (result.code, result.err) == (1, f"open {path}: {problem}\n")
