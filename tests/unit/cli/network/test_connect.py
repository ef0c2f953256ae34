"""The commands ``hawse network connect`` and ``hawse network disconnect``."""

from __future__ import annotations

import pytest

from engine.model import Adoption, EndpointIPAM, EndpointSettings, PortSpec

NOTHING = EndpointSettings(ipam=EndpointIPAM(), aliases=(), driver_opts={})


def test_connect_without_flags_sends_empty_settings(cli):
    result = cli("network", "connect", "n1", "c1")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert cli.engine.call == ("connect", ("n1", "c1", NOTHING, ()), {"adoption": Adoption()})


def test_connect_sends_every_flag(cli):
    cli(
        "network", "connect", "--alias", "a,b", "--alias", "c", "--driver-opt", " k = v ,x=", "--gw-priority", "5",
        "--ip", "10.0.0.5", "--ip6", "fd00::5", "--link", "c2:db", "--link-local-ip", "169.254.1.1,fe80::1",
        "-p", "8080:80", "-p", "53:53/udp", "--default-route", "yes",
        "--force", "--name", "lab", "--restart", "no", "n1", "c1",
    )  # fmt: skip
    settings = EndpointSettings(
        ipam=EndpointIPAM("10.0.0.5", "fd00::5", ("169.254.1.1", "fe80::1")),
        links=("c2:db",), aliases=("a", "b", "c"), driver_opts={"k": "v", "x": ""}, gw_priority=5,
        default_route="yes",
    )  # fmt: skip
    ports = (PortSpec("tcp", 80, "", "8080"), PortSpec("udp", 53, "", "53"))
    adoption = Adoption("lab", "no", force=True)
    assert cli.engine.call == ("connect", ("n1", "c1", settings, ports), {"adoption": adoption})


@pytest.mark.parametrize(("word", "meaning"), [("auto", ""), ("no", "no"), ("yes", "yes")])
def test_each_value_of_default_route_is_sent(cli, word, meaning):
    cli("network", "connect", f"--default-route={word}", "n1", "c1")
    assert cli.engine.call[1][2].default_route == meaning


def test_an_unknown_value_of_default_route_is_refused(cli):
    result = cli("network", "connect", "--default-route", "maybe", "n1", "c1")
    text = 'invalid argument "maybe" for "--default-route" flag: must be "yes", "no" or "auto"\n'
    assert (result.code, result.err) == (125, text + "See 'hawse network connect --help'.\n")
    assert cli.engine.calls == []


def test_help_in_a_pipe_has_no_flag_that_only_hawse_has(cli):
    hawse_flags = {"--default-route", "--force", "--name", "--publish", "--restart"}
    assert not hawse_flags & set(cli("network", "connect", "--help").out.split())


def test_an_invalid_port_is_refused_before_the_engine_is_called(cli):
    result = cli("network", "connect", "-p", "abc", "n1", "c1")
    assert (result.code, result.err) == (125, "Invalid containerPort: abc\nSee 'hawse network connect --help'.\n")
    assert cli.engine.calls == []


@pytest.mark.parametrize("argv", [["connect", "", "c1"], ["disconnect", "", "c1"], ["rm", ""]])
def test_an_empty_network_name_gives_page_not_found(cli, argv):
    result = cli("network", *argv)
    assert (result.code, result.out, result.err) == (1, "", "Error response from daemon: page not found\n")


@pytest.mark.parametrize(("flags", "force"), [([], False), (["-f"], True), (["--force=false"], False)])
def test_disconnect_sends_force_and_prints_nothing(cli, flags, force):
    result = cli("network", "disconnect", *flags, "n1", "c1")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert cli.engine.call == ("disconnect", ("n1", "c1"), {"force": force})
