"""Limits of Go templates: no template may crash hawse, hang, or use up the machine's memory or time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.gotemplate import Template, TemplateError, TemplateExecError
from cli.output.inspection import Inspector

DOCUMENT = {"Name": "n", "Id": "i", "Labels": {"a": "b"}, "IPAM": {"Config": [{"Subnet": "s"}]}, "List": [1, None, "x"]}
PIECES = st.sampled_from(
    [
        "{{",
        "}}",
        "{{-",
        "-}}",
        "{{if",
        "{{range",
        "{{with",
        "{{end}}",
        "{{else}}",
        "{{else",
        "{{define",
        "{{template",
        "{{block",
        "break",
        "continue",
        "(",
        ")",
        "|",
        ":=",
        "=",
        ",",
        ".",
        "$",
        "$x",
        ".Name",
        ".Labels",
        ".IPAM.Config",
        ".List",
        ".Nope",
        "nil",
        "true",
        "1",
        "-1",
        "1.5",
        "2i",
        "0x1p4",
        "'a'",
        '"a"',
        '"%v"',
        '"%5.2d"',
        '"%[1]*d"',
        "`r`",
        "print",
        "printf",
        "println",
        "len",
        "index",
        "slice",
        "eq",
        "ne",
        "lt",
        "and",
        "or",
        "not",
        "html",
        "js",
        "urlquery",
        "json",
        "split",
        "join",
        "title",
        "pad",
        "truncate",
        "call",
        "/*",
        "*/",
    ]
)
TEMPLATES = st.one_of(
    st.text(max_size=60),
    st.lists(st.one_of(PIECES, st.sampled_from(" \n\t")), max_size=25).map(" ".join),
    st.lists(PIECES, max_size=8).map(lambda words: "{{" + " ".join(words) + "}}"),
)


@settings(max_examples=400, deadline=None)
@given(TEMPLATES)
def test_any_template_renders_or_raises_a_template_error(text):
    try:
        Inspector("network", text).render(DOCUMENT)
    except TemplateError as error:
        assert str(error).startswith("template parsing error: template: :")


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet="%+-# 0123456789.*[]dsqxXvTtpeEfFgGbcoOUw!\u00e9\udcff", max_size=20),
    st.sampled_from(["1", "-7", '"s"', "1.5", "nil"]),
)
def test_any_format_string_of_printf_raises_no_error(text, argument):
    Template(f"{{{{printf `{text}` {argument} {argument}}}}}").execute(None)


@pytest.mark.parametrize(
    "text",
    [
        '{{define "a"}}{{template "a"}}{{end}}{{template "a"}}',
        '{{define "a"}}{{if 1}}{{range 2}}{{template "a" .}}{{end}}{{end}}{{end}}{{template "a"}}',
        "{{define `x`}}{{end}}{{template ``}}",
    ],
)
def test_endless_recursion_ends_as_in_go(text):
    with pytest.raises(TemplateExecError, match=r"exceeded maximum template depth \(100000\)$"):
        Template(text).execute(None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{range 9223372036854775807}}{{end}}", "too many steps"),
        (
            '{{define "a"}}{{if .}}{{template "a" (slice . 1)}}{{template "a" (slice . 1)}}{{end}}{{end}}'
            '{{template "a" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}',
            "too many steps",
        ),
        ('{{$x := "aa"}}{{range 100}}{{$x = print $x $x}}{{end}}', "too many steps"),
        ('{{printf "' + "%1000000d" * 99 + '"' + " 1" * 99 + "}}", "too much text"),
        ('{{pad "a" 9223372036854775807 1}}', "too much text"),
    ],
)
def test_a_template_with_too_much_work_is_ended(text, reason):
    with pytest.raises(TemplateExecError, match=reason):
        Template(text).execute(None)


def test_the_deepest_nesting_that_the_parser_accepts_is_executed():
    depth = 5000
    assert Template("{{" + "not (" * depth + "1" + ")" * depth + "}}").execute(None) == "true"
    assert Template("{{if 1}}" * depth + "x" + "{{end}}" * depth).execute(None) == "x"
    with pytest.raises(TemplateExecError, match="error calling len"):
        Template("{{" + "print (" * depth + "len 5" + ")" * depth + "}}").execute(None)
