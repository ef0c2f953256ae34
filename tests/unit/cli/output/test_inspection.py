"""hawse first fills a template for an inspect document from Docker's Go structs. If that fails, hawse fills it from the
plain JSON document.
"""

import json
import subprocess
import sys

import pytest

from cli.gotemplate import TemplateExecError, TemplateSyntaxError
from cli.output.inspection import Inspector

NETWORK = {
    "Name": "web",
    "Id": "ab12",
    "Created": "2026-11-23T21:03:22.707083705Z",
    "Scope": "local",
    "Driver": "bridge",
    "EnableIPv6": False,
    "IPAM": {
        "Driver": "default",
        "Options": None,
        "Config": [{"Subnet": "10.7.0.0/24", "Gateway": "10.7.0.1", "AuxiliaryAddresses": {"h": "10.7.0.5"}}],
    },
    "Internal": True,
    "Attachable": False,
    "Ingress": False,
    "ConfigFrom": {"Network": ""},
    "ConfigOnly": False,
    "Containers": {"c0": {"Name": "one", "EndpointID": "e", "MacAddress": "m", "IPv4Address": "a", "IPv6Address": ""}},
    "Options": {},
    "Labels": {"b": "2", "a": "1"},
}
CONTAINER = {
    "Id": "ff00",
    "Created": "2026-11-23T21:03:22.7Z",
    "Args": ["1000"],
    "Name": "/c1",
    "State": {"Status": "running", "Pid": 7},
    "HostConfig": {
        "NetworkMode": "container:db",
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "ConsoleSize": [0, 0],
        "Ulimits": [{"Name": "nofile", "Hard": 2, "Soft": 1}],
        "Dns": [],
        "Links": None,
    },
    "Mounts": [],
    "Config": {
        "Cmd": ["sleep", "1"],
        "ExposedPorts": {"80/tcp": {}, "9-10/udp": {}},
        "Healthcheck": {"Test": ["CMD", "x"], "Interval": 90_500_000_000},
        "Labels": {},
    },
    "NetworkSettings": {"Ports": {"80/tcp": None}, "Networks": {"web": {"IPAMConfig": {}, "IPAddress": "10.7.0.2"}}},
}


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ("{{.ID}} {{.Name}}", "ab12 web"),
        ("{{.Created}}", "2026-11-23 21:03:22.707083705 +0000 UTC"),
        ('{{.Created.Format "2006-01-02 15:04:05.000 Mon Jan"}}', "2026-11-23 21:03:22.707 Mon Nov"),
        (
            "{{.Created.Year}} {{.Created.Month}} {{.Created.Weekday}} {{.Created.Unix}}",
            "2026 November Monday 1795467802",
        ),
        ('{{printf "%#v" .Created}}', "time.Date(2026, time.November, 23, 21, 3, 22, 707083705, time.UTC)"),
        ("{{.IPAM}}", "{default map[] [{10.7.0.0/24  10.7.0.1 map[h:10.7.0.5]}]}"),
        ('{{printf "%+v" .ConfigFrom}} {{printf "%#v" .Labels}}', '{Network:} map[string]string{"a":"1", "b":"2"}'),
        ('{{printf "%T %T" .IPAM.Config .}}', "[]network.IPAMConfig types.NetworkResource"),
        ("{{json .IPAM}}", json.dumps(NETWORK["IPAM"], separators=(",", ":"))),
        ("{{json .Options}} {{json .Peers}} {{.Peers}}", "{} null []"),
        ('{{.Labels.zz}} {{index .Labels "zz"}}| {{(index .Containers "zz").Name}}|', "<no value> | |"),
        ("{{range $k, $v := .Containers}}{{$k}}={{$v.Name}}{{end}}", "c0=one"),
        ("{{.Id}} {{.Created}}", "ab12 2026-11-23T21:03:22.707083705Z"),
        ("{{.Id}} {{.IPAM.Options}}", "ab12 <no value>"),
        (
            "{{.Id}} {{range .IPAM.Config}}{{.}}{{end}}",
            "ab12 map[AuxiliaryAddresses:map[h:10.7.0.5] Gateway:10.7.0.1 Subnet:10.7.0.0/24]",
        ),
    ],
)
def test_templates_of_a_network_document(template, output):
    assert Inspector("network", template).render(NETWORK) == output + "\n"


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ("{{.HostConfig.NetworkMode}} {{.HostConfig.NetworkMode.IsContainer}}", "container:db true"),
        ("{{.HostConfig.NetworkMode.ConnectedContainer}} {{.HostConfig.NetworkMode.NetworkName}}", "db container"),
        ("{{.HostConfig.RestartPolicy.IsNone}} {{.HostConfig.RestartPolicy}}", "true {no 0}"),
        (
            "{{.HostConfig.PortBindings}} {{json .HostConfig.PortBindings}}",
            'map[80/tcp:[{ 8080}]] {"80/tcp":[{"HostIp":"","HostPort":"8080"}]}',
        ),
        (
            "{{range $p, $_ := .Config.ExposedPorts}}{{$p.Port}} {{$p.Proto}} {{$p.Int}};{{end}}",
            "80 tcp 80;9-10 udp 0;",
        ),
        ("{{.HostConfig.Ulimits}} {{json .HostConfig.Ulimits}}", '[nofile=1:2] [{"Name":"nofile","Hard":2,"Soft":1}]'),
        (
            "{{.Config.Healthcheck.Interval}} {{json .Config.Healthcheck}}",
            '1m30.5s {"Test":["CMD","x"],"Interval":90500000000}',
        ),
        ('{{join .Config.Cmd " "}} {{printf "%T" .Config.Cmd}}', "sleep 1 strslice.StrSlice"),
        ("{{json .HostConfig.DNS}} {{json .HostConfig.Links}} {{.SizeRw}}", "[] null <nil>"),
        ("{{slice .HostConfig.ConsoleSize 1}} {{eq .State.Pid 7}} {{lt .HostConfig.IOMaximumIOps 1}}", "[0] true true"),
        ("{{.NetworkSettings.Networks.web.IPAddress}} {{.ContainerJSONBase.Name}}", "10.7.0.2 /c1"),
        ("{{.NetworkSettings.Networks.web.IPAMConfig}} {{.NetworkSettings.Ports}}", "{  []} map[80/tcp:[]]"),
        ('{{.Id}} {{.State.Pid}} {{printf "%T %d" .State.Pid .State.Pid}}', "ff00 7 json.Number %!d(json.Number=7)"),
        (
            "{{.Id}} {{range $p, $b := .HostConfig.PortBindings}}{{$p}}={{(index $b 0).HostPort}}{{end}}",
            "ff00 80/tcp=8080",
        ),
    ],
)
def test_templates_of_a_container_document(template, output):
    assert Inspector("container", template).render(CONTAINER) == output + "\n"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Nope}}", ':1:2: executing "" at <.Nope>: map has no entry for key "Nope"'),
        ("{{json .Nope}}", ':1:7: executing "" at <.Nope>: map has no entry for key "Nope"'),
        ("{{.Name.x}}", ':1:7: executing "" at <.Name.x>: can\'t evaluate field x in type interface {}'),
        ('{{.Name "x"}}', ':1:2: executing "" at <.Name>: Name is not a method but has arguments'),
        ('{{join .Name ","}}', ':1:7: executing "" at <.Name>: wrong type for value; expected []string; got string'),
        ("{{.IPAM.Options.x.y}}", ':1:7: executing "" at <.IPAM.Options.x.y>: nil pointer evaluating interface {}.x'),
    ],
)
def test_if_both_attempts_fail_the_error_of_the_second_is_reported(template, message):
    with pytest.raises(TemplateExecError) as caught:
        Inspector("network", template + "{{.Id}}{{.ID}}").render(NETWORK)
    assert str(caught.value) == f"template parsing error: template: {message}"
    assert caught.value.exit_code == 1


def test_after_a_second_attempt_missing_keys_are_errors_in_later_documents():
    inspector = Inspector("network", "{{if eq .Name `raw`}}{{.Extra}}{{else}}{{.Labels.zz}}{{end}}")
    assert inspector.render(NETWORK) == "<no value>\n"
    assert inspector.render({**NETWORK, "Name": "raw", "Extra": 1}) == "1\n"
    with pytest.raises(TemplateExecError, match='map has no entry for key "zz"'):
        inspector.render(NETWORK)


def test_the_empty_format_and_json_print_the_whole_document():
    document = '{"a": 1.50, "b": [], "c": ["x y"], "d": {}}'
    assert Inspector("network", "json").render(document) == '[{"a":1.50,"b":[],"c":["x y"],"d":{}}]\n'
    assert (
        Inspector("network", "").render(document)
        == json.dumps([json.loads(document)], indent=4).replace("1.5", "1.50") + "\n"
    )


@pytest.mark.parametrize(
    ("template", "stdout", "stderr", "code"),
    [
        ("{{.Name}}", b"web\n", b"", 0),
        ('{{truncate "\u65e5" 2}}', b"\xe6\x97\n", b"", 0),
        (
            "{{.Nope}}",
            b"\n",
            b'template parsing error: template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"\n',
            1,
        ),
        ("{{nofunc}}", b"", b'template parsing error: template: :1: function "nofunc" not defined\n', 64),
    ],
)
@pytest.mark.parametrize("module", ["cli.gotemplate", "cli.output"])
def test_the_module_acts_as_docker_inspect_does(module, template, stdout, stderr, code):
    done = subprocess.run(
        [sys.executable, "-m", module, "network", template],
        input=json.dumps(NETWORK).encode(),
        capture_output=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr, done.returncode) == (stdout, stderr, code)


def test_syntax_errors_carry_dockers_exit_code():
    with pytest.raises(TemplateSyntaxError, match=r"^template parsing error: template: :1: unclosed action$") as caught:
        Inspector("container", "{{").render(CONTAINER)
    assert caught.value.exit_code == 64
