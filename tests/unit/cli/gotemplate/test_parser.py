"""hawse refuses the templates that Go's parser refuses, with the same error texts."""

import pytest

from cli.gotemplate import Template, TemplateSyntaxError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{", ":1: unclosed action"),
        ("{{.", ':1: illegal number syntax: "."'),
        ("{{.Name", ":1: unclosed action"),
        ("a\n{{ .Name\n}", ':3: unexpected "}" in operand'),
        ("{{}}", ":1: missing value for command"),
        ("{{if}}x{{end}}", ":1: missing value for if"),
        ("{{|}}", ':1: unexpected "|" in command'),
        ("{{.Name | 5}}", ":1: non executable command in pipeline stage 2"),
        ("{{(.Name}}", ":1: unclosed left paren"),
        ("{{.Name)}}", ":1: unexpected right paren"),
        ('{{"unterminated}}', ":1: unterminated quoted string"),
        ("{{`raw", ":1: unterminated raw quoted string"),
        ("{{'ab'}}", ":1: malformed character constant: 'ab'"),
        ("{{'", ":1: unterminated character constant"),
        ('{{"\\z"}}', ":1: invalid syntax"),
        ("{{.dash-key}}", ":1: bad character U+002D '-'"),
        ("{{.Name..x}}", ":1: unexpected <.> in operand"),
        ('{{"x".y}}', ':1: unexpected . after term "\\"x\\""'),
        ("{{$x}}", ':1: undefined variable "$x"'),
        ("{{$x, $y := 1}}", ":1: too many declarations in command"),
        ("{{range $x, y := .}}{{end}}", ":1: range can only initialize variables"),
        ("{{nofunc}}", ':1: function "nofunc" not defined'),
        ("{{end}}", ":1: unexpected {{end}}"),
        ("{{else}}", ":1: unexpected {{else}}"),
        ("{{if 1}}a{{else}}b{{else}}c{{end}}", ":1: expected end; found {{else}}"),
        ("{{if 1}}\n\n{{range .}}\n", ":4: unexpected EOF"),
        ("{{break}}", ":1: {{break}} outside {{range}}"),
        ('{{if 1}}{{define "x"}}{{end}}{{end}}', ":1: unexpected <define> in command"),
        ('{{define "x"}}a{{end}}{{define "x"}}b{{end}}', ':1: template: multiple definition of template "x"'),
        ("{{template x}}", ':1: unexpected "x" in template clause'),
        ("{{/* open", ":1: unclosed comment"),
        ("{{/* bad */ }}", ":1: comment ends before closing delimiter"),
        ("{{1a}}", ':1: bad number syntax: "1a"'),
        ("{{08}}", ':1: integer overflow: "08"'),
        ("{{0b2}}", ':1: bad number syntax: "0b2"'),
        ("{{99999999999999999999}}", ':1: integer overflow: "99999999999999999999"'),
        ("{{1+2}}", ':1: bad number syntax: "1+2"'),
        ("{{.Name #}}", ':1: unexpected "#" in operand'),
        ("{{if .Name\n|\n", ":3: unclosed action started at :1"),
    ],
)
def test_syntax_errors_have_the_texts_of_go(text, message):
    with pytest.raises(TemplateSyntaxError) as caught:
        Template(text)
    assert str(caught.value) == f"template: {message}"


@pytest.mark.parametrize("nest", ["{{" + "(" * 100_000, "{{if 1}}" * 50_000, '{{block "a" .}}' * 50_000])
def test_too_deep_nesting_is_refused(nest):
    with pytest.raises(TemplateSyntaxError, match="max expression depth exceeded"):
        Template(nest)
