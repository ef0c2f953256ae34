"""``hawse network map`` draws networks and their containers in every format."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.netns


def test_the_document_has_networks_containers_names_and_ports(patient):
    document = json.loads(patient.hawse("network", "map", "--format", "json").stdout)
    networks = {network["Name"]: network for network in document["Networks"]}
    assert list(networks) == ["app", "back", "sealed", "strict"], "predefined networks that nothing uses are left out"
    assert [pool["Subnet"] for pool in networks["app"]["Subnets"]] == ["172.31.0.0/16", "fd31::/64"]
    assert networks["back"]["Internal"]
    web = next(c for c in networks["app"]["Containers"] if c["Name"] == "web")
    member = patient.member("app", "web")
    assert (web["IPv4Address"], web["IPv6Address"]) == (member["IPv4Address"], member["IPv6Address"])
    assert web["Names"] == ["www"]
    assert set(web["Ports"]) == {"0.0.0.0:8080->80/tcp", "[::]:8080->80/tcp"}
    assert [c["Name"] for c in networks["back"]["Containers"]] == ["db"]


def test_the_tree_is_plain_text_in_a_pipe(patient):
    tree = patient.hawse("network", "map", "app").stdout
    assert tree.isprintable() or "\x1b" not in tree
    lines = [line.lstrip("│├└─ ") for line in tree.splitlines()[1:]]
    assert lines[0] == "app  bridge  172.31.0.0/16  fd31::/64"
    web = next(line for line in lines if line.startswith("web"))
    assert web.endswith("eth0  names: www  ports: 8080 → 80/tcp")
    assert not [line for line in lines if line.startswith(("back", "strict"))]


def test_the_drawings_show_each_endpoint(patient):
    svg = ElementTree.fromstring(patient.hawse("network", "map", "--format", "svg").stdout)
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"app", "back", "strict", "web", "db", "honest", "8080 → 80/tcp", "also on back"} <= set(texts)
    mermaid = patient.hawse("network", "map", "--format", "mermaid").stdout
    assert mermaid.startswith("flowchart LR\n")
    assert mermaid.count(" ---|") == 5, "an edge for each endpoint"
    dot = patient.hawse("network", "map", "--format", "dot").stdout
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tplain"], input=dot, text=True, check=True, capture_output=True)
    assert dot.count(" -- ") == 5


def test_a_hostile_name_is_only_text(patient):
    name = '"]<script>&\\N\x1b[31m\n%%'
    patient.hawse("network", "create", name)
    drawn = {
        form: patient.hawse("network", "map", "--format", form).stdout for form in ("svg", "mermaid", "dot", "tree")
    }
    texts = [element.text or "" for element in ElementTree.fromstring(drawn["svg"]).iter()]
    assert '"]<script>&\\N\\u001b[31m\\n%%' in texts
    assert "#34;#93;#60;script#62;#38;#92;N" in drawn["mermaid"]
    assert '\\"]<script>&amp;\\\\N' in drawn["dot"]
    assert not [
        form for form, text in drawn.items() if "\x1b" in text or ("<script>" in text and form in ("svg", "mermaid"))
    ]
    assert "network" in patient.hawse("doctor").stdout
    patient.hawse("network", "rm", name)


def test_an_unknown_network_and_an_unknown_format_are_errors(patient):
    assert patient.hawse("network", "map", "nosuch", check=False).stderr.endswith("network nosuch not found\n")
    assert "unknown format gif" in patient.hawse("network", "map", "--format", "gif", check=False).stderr
    assert patient.hawse("network", "map", "--format", "gif", check=False).returncode == 1


def test_a_predefined_network_is_shown_if_it_is_used_or_named(patient):
    assert "none  null" in patient.hawse("network", "map", "none").stdout
    assert "host  host" not in patient.hawse("network", "map").stdout


def test_a_user_without_access_to_the_clusters_files_sees_the_networks(patient):
    cluster = patient.host.root / "cluster"
    cluster.mkdir(mode=0o700)
    os.chown(cluster, 65534, 65534)
    limited = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    command = patient.host.command("network", "map", "app")
    result = patient.host.run(*limited, *command[4:], env=patient.host.env(HAWSE_WARM="off"))
    assert "app  bridge  172.31.0.0/16  fd31::/64" in result.stdout
