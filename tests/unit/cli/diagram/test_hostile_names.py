"""Names in a drawn map are only text: no name becomes an element, an attribute, a style or a command of the format."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from cli.diagram import dot, mermaid, svg

HOSTILE = [
    '<script>alert(1)</script>',
    '"><image href="x" onerror="alert(1)"/>',
    "]]></svg><svg onload=alert(1)>",
    "&lt;&#60;&amp;",
    '"] --> evil["<b>',
    "end\n    click n0 call evil()",
    "%%{init: {}}%%",
    "`]]; } graph evil { a",
    'x"; URL="javascript:alert(1)',
    "back\\",
    "\\N\\G\\E",
    "\x1b[31mred\x1b[0m\r\x00\x07",
    "\udcff\ufffe\uffff\u202e\u2028",
    "[bold]markup[/bold] :smile:",
    "wide 語語語" * 9,
    "#quot;#59;",
    "",
]  # fmt: skip
TAGS = {"svg", "rect", "path", "text"}


def container(name: str, **other) -> dict:
    known = {
        "Name": name, "Id": name or "none", "Host": "", "HostId": "", "Interface": name, "MacAddress": "",
        "IPv4Address": "10.0.0.2/8", "IPv6Address": "", "Names": [name, name], "Ports": ["0.0.0.0:80->80/tcp", name],
    }  # fmt: skip
    return {**known, **other}


def network(name: str, *, hosts: bool) -> dict:
    return {
        "Name": name, "Id": name, "Driver": name, "Scope": "local", "Internal": True, "Predefined": False,
        "Subnets": [{"Subnet": name, "Gateway": name}],
        "Hosts": [{"Id": name, "Name": name, "Address": name, "Here": True}] if hosts else [],
        "Containers": [container(name)],
    }  # fmt: skip


def document(name: str) -> dict:
    return {"Host": name, "Networks": [network(name, hosts=True), network(name, hosts=False)]}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_adds_no_element_to_svg(name):
    root = ElementTree.fromstring(svg.draw(document(name)).encode())
    elements = [element.tag.removeprefix("{http://www.w3.org/2000/svg}") for element in root.iter()]
    assert set(elements) <= TAGS
    harmless = ElementTree.fromstring(svg.draw(document("a")))
    assert len(elements) == len(list(harmless.iter())), "a name may add no element"
    names = {key for element in root.iter() for key in element.attrib}
    assert not [key for key in names if key.startswith("on") or "href" in key or key == "style"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_adds_no_line_to_mermaid(name):
    def shape(text: str) -> list[str]:
        lines = (re.sub('"[^"\n]*"', '""', line) for line in text.splitlines())
        return [re.sub("driver_[a-zA-Z0-9]*", "driver", line) for line in lines]

    drawn = mermaid.draw(document(name))
    assert drawn.isascii()
    assert shape(drawn) == shape(mermaid.draw(document("a")))
    labels = re.findall('"([^"\n]*)"', drawn)
    assert not [label for label in labels if re.search("[<>`%&;]", re.sub("<br/>|#[0-9]+;", "", label))]


@pytest.mark.parametrize("name", [name for name in HOSTILE if name])
def test_a_hostile_name_adds_no_token_to_dot(name):
    def shape(text: str) -> str:
        return re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)

    drawn = dot.draw(document(name))
    assert shape(drawn) == shape(dot.draw(document("a")))
    assert not re.search(r"(?<!\\)(?:\\\\)*\\[^n\\\"]", drawn), "no escape sequence but those of the drawing"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_adds_no_line_to_a_tree(cli, name):
    def lines(of: str) -> str:
        cli.engine.answers["diagnostics"]["map"] = document(of)
        return cli("network", "map").out

    drawn = lines(name)
    assert len(drawn.splitlines()) == len(lines("a").splitlines()) == drawn.count("\n")
    assert not set(drawn) & set("\x1b\r\x00\x07\u202e\u2028")


def test_dot_shows_an_html_entity_in_a_name_as_it_is():
    drawn = dot.draw(document("a&lt;b"))
    assert "a&amp;lt;b" in drawn
    assert "a&lt;b" not in drawn
