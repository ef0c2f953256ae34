"""The command ``hawse network ls``."""

from __future__ import annotations

import pytest

from cli.network import ls as network_ls
from engine.model import NetworkSummary
from engine.names import natural_key


def network(name: str, number: str, **more):
    return {
        "Name": name, "Id": number * 64, "Created": "2026-11-23T22:40:40.870400Z", "Scope": "local",
        "Driver": "bridge", "EnableIPv6": False, "Internal": False, "Labels": {}, **more,
    }  # fmt: skip


NETWORKS = [
    network("n10", "1"),
    network("n2", "2", Labels={"b": "2", "a": "1"}, EnableIPv6=True, Internal=True),
    network("none", "3", Driver="null", Labels=None, Created="2026-11-23T23:40:40+01:00"),
]
DATE = "2026-11-23 22:40:40.8704 +0000 UTC"


def known(cli, networks):
    """Make the engine double return these networks, both as full records and as summaries."""
    brief = [NetworkSummary(n["Id"], n["Name"], n["Driver"], n["Scope"], False) for n in networks]
    brief.sort(key=lambda n: natural_key(n.name))
    cli.engine.answers["networks"] |= {"list": networks, "summaries": brief}


@pytest.fixture
def ls(cli):
    known(cli, NETWORKS)
    return lambda *argv: cli("network", "ls", *argv)


@pytest.mark.parametrize(
    ("argv", "out"),
    [
        ([], "NETWORK ID     NAME      DRIVER    SCOPE\n222222222222   n2        bridge    local\n"
             "111111111111   n10       bridge    local\n333333333333   none      null      local\n"),
        (["-q"], "222222222222\n111111111111\n333333333333\n"),
        (["-q", "--no-trunc"], f"{'2' * 64}\n{'1' * 64}\n{'3' * 64}\n"),
        (["-q", "--format", "table"], "222222222222\n111111111111\n333333333333\n"),
        (["-q", "--format", "table {{.Name}}"], "NAME\nn2\nn10\nnone\n"),
        (["-q", "--format", "raw"], "network_id: 222222222222\nnetwork_id: 111111111111\nnetwork_id: 333333333333\n"),
        (["--format", "{{.Name}}"], "n2\nn10\nnone\n"),
        (["--format", "{{.Name}}\\t{{.IPv6}} {{.Internal}}"], "n2\ttrue true\nn10\tfalse false\nnone\tfalse false\n"),
        (["--format", '{{.Labels}}|{{.Label "a"}}'], "a=1,b=2|1\n|\n|\n"),
        (["--format", "{{.CreatedAt}}"], f"{DATE}\n{DATE}\n2026-11-23 23:40:40 +0100 +0100\n"),
        (["--format", "table {{upper .Name}}\\t{{.Driver}}"],
         "NAME      DRIVER\nN2        bridge\nN10       bridge\nNONE      null\n"),
        (["--format", "pretty"], "pretty\n" * 3),
    ],
)  # fmt: skip
def test_ls_prints_dockers_output(ls, argv, out):
    result = ls(*argv)
    assert (result.code, result.out, result.err) == (0, out, "")


def test_raw_has_an_empty_line_after_each_network(ls):
    assert ls("--format", "raw").out.startswith("network_id: 222222222222\nname: n2\ndriver: bridge\nscope: local\n\n")


def test_json_keys_are_sorted_and_values_are_text(ls):
    assert ls("--format", "json").out.split("\n")[0] == (
        f'{{"CreatedAt":"{DATE}","Driver":"bridge","ID":"222222222222","IPv6":"true","Internal":"true",'
        '"Labels":"a=1,b=2","Name":"n2","Scope":"local"}'
    )


def test_without_networks_the_header_is_narrow(cli):
    assert cli("network", "ls").out == "NETWORK ID   NAME      DRIVER    SCOPE\n"
    assert cli("network", "ls", "-q").out == ""


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("{{.Name}}{{.Nope}}",
         "template: :1:11: executing \"\" at <.Nope>: can't evaluate field Nope in type *network.networkContext"),
        ("table {{.Nope}}",
         "template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *network.networkContext"),
        ("{{.Name", "template: :1: unclosed action"),
    ],
)  # fmt: skip
def test_template_errors_print_nothing_else(ls, format, text):
    result = ls("--format", format)
    assert (result.code, result.out, result.err) == (1, "", f"template parsing error: {text}\n")


def test_filters_are_passed_on(cli, ls):
    ls("-f", "Driver=bridge", "--filter", "label=a=b", "-f", "driver=null")
    filters = {"driver": ("bridge", "null"), "label": ("a=b",)}
    assert cli.engine.call == ("summaries", (filters,), {})
    cli.engine.calls.clear()
    ls("-f", "Driver=bridge", "--filter", "label=a=b", "-f", "driver=null", "--format", "json")
    assert cli.engine.call == ("list", (filters,), {})


def test_only_a_terminal_with_colour_enabled_gets_colour(cli, ls):
    plain = ls().out
    cli.terminal = True
    assert ls().out == plain.replace(
        "NETWORK ID     NAME      DRIVER    SCOPE", "\x1b[1mNETWORK ID     NAME      DRIVER    SCOPE\x1b[0m"
    )
    assert cli("--no-color", "network", "ls").out == plain
    cli.environ = {"NO_COLOR": "1"}
    assert ls().out == plain


def test_the_field_ipv4_is_in_templates_but_not_in_json(cli):
    def on(*subnets: str):
        return network("n", "1", IPAM={"Config": [{"Subnet": subnet} for subnet in subnets]})

    cli.engine.answers["networks"]["list"] = [on("172.18.0.0/16", "fd00::/64"), on("fd00::/64"), on()]
    assert cli("network", "ls", "--format", "{{.IPv4}}").out == "true\nfalse\ntrue\n"
    assert cli("network", "ls", "--format", "table {{.IPv4}}").out == "IPV4\ntrue\nfalse\ntrue\n"
    assert "IPv4" not in cli("network", "ls", "--format", "json").out


ODD = [
    network("plain", "1"),
    network("网络", "2", Driver="a-driver-of-somebody-else"),
    network("tab\tbed", "3", Scope="swarm"),
    network("broken\nline", "4"),
    network("e\u0301 and 👨\u200d👩\u200d👧", "5", Scope="global"),
    network("{0} {{.Name}} %s", "6"),
    network("\ufffd", "7", Driver="", Scope=""),
    network("n01", "8"),
    network("n1", "9"),
]


@pytest.mark.parametrize("networks", [[], ODD[:1], ODD, NETWORKS, [ODD[0], *NETWORKS]], ids=len)
@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--no-trunc"],
        ["-q"],
        ["--format", "{{.Name}}"],
        ["--format", "raw"],
        ["--format", "table {{.Name}}"],
        ["--format", "table {{.Scope}}\\t{{ .Name }}\\t{{.Scope}}"],
        ["--format", "table {{.Name}}\\n{{.ID}}\\t{{.Driver}}"],
        ["--format", "table <{{.Name}}>\\t{ {{.Driver}} }\\t\\t-"],
        ["--format", "table {{.Driver}}{{.Scope}} \udcff"],
    ],
)
def test_summaries_give_the_same_output_as_full_records(cli, monkeypatch, networks, argv):
    known(cli, networks)
    brief = cli("network", "ls", *argv)
    assert [verb for verb, _, _ in cli.engine.calls] == ["summaries"]
    monkeypatch.setattr(network_ls, "shows_only", lambda *_: False)
    assert cli("network", "ls", *argv) == brief
    assert [verb for verb, _, _ in cli.engine.calls] == ["summaries", "list"]


@pytest.mark.parametrize("format", ["json", "{{.Labels}}", "table {{.ID}}\\t{{.IPv6}}", "{{upper .Name}}", "no field"])
def test_formats_that_need_more_than_summaries_read_full_records(cli, ls, format):
    ls("--format", format)
    assert cli.engine.call == ("list", ({},), {})
