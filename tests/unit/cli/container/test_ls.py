"""The table of ``ps``, its fields and its ports column; the expected output is that of Docker 26.1.5."""

import time

import pytest

from cli.container.ports_column import displayed_ports

ID = "0123456789ab" + "c" * 52


def port(private: int, public: int = 0, ip: str = "", kind: str = "tcp") -> dict:
    return {"PrivatePort": private, "Type": kind, **({"IP": ip, "PublicPort": public} if ip else {})}


def both(private: int, public: int, kind: str = "tcp") -> list[dict]:
    return [port(private, public, ip, kind) for ip in ("0.0.0.0", "::")]


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ([], ""),
        (both(80, 8080), "0.0.0.0:8080->80/tcp, :::8080->80/tcp"),
        ([port(5), port(7), port(6), port(9), *both(8, 6000)], "5-7/tcp, 9/tcp, 0.0.0.0:6000->8/tcp, :::6000->8/tcp"),
        (
            [*both(7200, 7200), *both(7201, 7201), port(7203), *both(7300, 7300, "udp"), *both(7301, 7301, "udp")],
            "0.0.0.0:7200-7201->7200-7201/tcp, :::7200-7201->7200-7201/tcp, 7203/tcp, "
            "0.0.0.0:7300-7301->7300-7301/udp, :::7300-7301->7300-7301/udp",
        ),
        (
            [*both(80, 4001), *both(80, 4002)],
            "0.0.0.0:4001->80/tcp, 0.0.0.0:4002->80/tcp, :::4001->80/tcp, :::4002->80/tcp",
        ),
        (
            [*both(50, 5000, "udp"), *both(50, 5000)],
            "0.0.0.0:5000->50/tcp, 0.0.0.0:5000->50/udp, :::5000->50/tcp, :::5000->50/udp",
        ),
        ([port(n, n, "127.0.0.1") for n in (7100, 7101)], "127.0.0.1:7100-7101->7100-7101/tcp"),
    ],
)
def test_ports_collapse_as_in_docker(ports, text):
    assert displayed_ports(ports) == text


@pytest.fixture
def ps(cli):
    cli.engine.answers["containers"]["list"] = [
        {
            "Id": ID, "Names": ["/c1", "/other/db"], "Image": "bb", "ImageID": "sha256:" + "e" * 64,
            "Command": "sh -c 'echo one; echo two'", "Created": int(time.time()) - 65, "Labels": {"b": "2", "a": "1"},
            "Ports": both(80, 8080), "State": "running", "Status": "Up 3 seconds", "SizeRw": 5, "SizeRootFs": 2024614,
            "NetworkSettings": {"Networks": {"n2": {}, "n1": {}}},
            "Mounts": [{"Type": "bind", "Source": "/a/very/long/source/path"}],
        }
    ]  # fmt: skip
    return lambda *argv: cli("ps", *argv)


def test_ps_prints_dockers_table(ps):
    assert ps().out == (
        "CONTAINER ID   IMAGE     COMMAND                  CREATED              STATUS         PORTS"
        "                                   NAMES\n"
        '0123456789ab   bb        "sh -c \'echo one; ec…"   About a minute ago   Up 3 seconds   '
        "0.0.0.0:8080->80/tcp, :::8080->80/tcp   c1\n"
    )


def test_format_prints_each_field_as_docker_does(ps):
    fields = '{{.ID}} {{.Names}} {{.Networks}} {{.Labels}} {{.Label "b"}} {{.Mounts}} {{.LocalVolumes}} {{.Size}}'
    assert ps("--format", fields).out == ("0123456789ab c1 n1,n2 a=1,b=2 2 /a/very/long/s… 0 5B (virtual 2.02MB)\n")
    assert ps("--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Command}}").out == (
        f"{ID} c1,other/db \"sh -c 'echo one; echo two'\"\n"
    )
    assert ps("-q").out == "0123456789ab\n"


@pytest.mark.parametrize(
    ("argv", "keywords"),
    [
        ((), {}),
        (("-a",), {"all": True}),
        (("-l",), {"limit": 1}),
        (("-ln", "3"), {"limit": 3}),
        (("--format", "{{.Size}}"), {"size": True}),
        (("--format", "{{.Size}}", "--size=false"), {}),
        (("--format", "{{.ID}} {{.Networks}}"), {"networks": True}),
        (("--format", "json"), {"networks": True}),
        (("--format", "{{json .}}"), {"size": True, "networks": True}),
    ],
)
def test_flags_reach_the_engine(cli, ps, argv, keywords):
    assert ps(*argv).code == 0
    defaults = {"all": False, "limit": -1, "size": False, "networks": False}
    assert cli.engine.call == ("list", ({},), defaults | keywords)


def test_filters_are_sent_by_key_in_lower_case(cli, ps):
    ps("-f", "name=a", "-f", "NAME=b", "--filter", "label=x=y")
    assert cli.engine.call[1] == ({"name": ("a", "b"), "label": ("x=y",)},)


def test_the_flag_s_adds_the_size_column(ps):
    lines = ps("-s").out.split("\n")
    assert lines[0].endswith("NAMES     SIZE")
    assert lines[1].endswith("c1        5B (virtual 2.02MB)")


def test_quiet_overrides_format_with_a_warning(ps):
    result = ps("-q", "--format", "x")
    assert (result.out, result.err) == (
        "0123456789ab\n",
        "WARNING: Ignoring custom format, because both --format and --quiet are set.\n",
    )


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("{{.Nope", "failed to parse template: template: :1: unclosed action\n"),
        (
            "{{.Nope}}",
            'failed to execute template: template: :1:2: executing "" at <.Nope>: '
            "can't evaluate field Nope in type *formatter.ContainerContext\n",
        ),
        (
            '{{if eq .Image "<no image>"}}{{range .Command}}{{end}}{{end}}',
            'failed to execute template: template: :1:37: executing "" at <.Command>: range can\'t iterate over ""\n',
        ),
    ],
)
def test_an_invalid_template_is_refused_before_the_engine_is_asked(cli, ps, format, text):
    result = ps("--format", format)
    assert (result.code, result.out, result.err) == (1, "", text)
    assert cli.engine.calls == []


def test_a_template_that_fails_only_for_a_container_with_settings_is_a_parsing_error(ps):
    result = ps("--format", "{{if .ID}}{{range .Names}}{{end}}{{end}}")
    assert (result.code, result.out, result.err) == (
        1,
        "",
        'template parsing error: template: :1:18: executing "" at <.Names>: range can\'t iterate over c1\n',
    )


def test_an_image_given_by_id_is_shortened(cli, ps):
    cli.engine.answers["containers"]["list"][0].update(Image="sha256:" + "e" * 64)
    assert ps("--format", "{{.Image}}").out == "eeeeeeeeeeee\n"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("alpine", "alpine"),
        ("docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/foo/bar:2", "foo/bar:2"),
        ("reg.example:5000/x/y:1", "reg.example:5000/x/y:1"),
        (f"library/alpine@sha256:{'d' * 64}", "alpine"),
        (f"library/alpine:3@sha256:{'d' * 64}", "alpine:3"),
        ("Not@a reference", "Not@a reference"),
        ("f" * 64, "f" * 64),
    ],
)
def test_an_image_is_shown_by_its_short_name_unless_no_trunc_is_set(cli, ps, name, shown):
    cli.engine.answers["containers"]["list"][0].update(Image=name)
    assert ps("--format", "{{.Image}}").out == shown + "\n"
    assert ps("--no-trunc", "--format", "{{.Image}}").out == name + "\n"
