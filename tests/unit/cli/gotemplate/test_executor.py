"""The tests execute Go templates with constants, control structures and functions, and check the results."""

import pytest

from cli.gotemplate import Template, TemplateExecError


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ('a {{- " b " -}} c', "a b c"),
        ("{{- /* gone */ -}} x", "x"),
        ("{{5}} {{0x1F}} {{0b101}} {{0o17}} {{1_000}} {{'a'}} {{2i}} {{.5}}", "5 31 5 15 1000 97 (0+2i) 0.5"),
        ("{{1e5}} {{1e6}} {{123456789.0}} {{1e-5}} {{-0.0}}", "100000 1e+06 1.23456789e+08 1e-05 -0"),
        ('{{"\\t\\x41\\u00e9\\101"}}', "\tA\u00e9A"),
        ("{{true}} {{`raw`}} {{print nil}}", "true raw <nil>"),
        ("{{$x := 1}}{{$x = 2}}{{if true}}{{$x := 3}}{{end}}{{$x}}", "2"),
        ('{{if ""}}a{{else if 0}}b{{else}}c{{end}}', "c"),
        ('{{with ""}}a{{else with "z"}}{{.}}{{end}}', "z"),
        ("{{range 3}}{{.}}{{end}}{{range 0}}x{{else}}none{{end}}", "012none"),
        ("{{range -1}}x{{else}}none{{end}}", "none"),
        ('{{range $i, $e := split "a,b" ","}}{{$i}}={{$e}} {{end}}', "0=a 1=b "),
        ("{{range 5}}{{if eq . 1}}{{continue}}{{end}}{{if eq . 3}}{{break}}{{end}}{{.}}{{end}}", "02"),
        ("{{range 2}}{{range 0}}{{else}}{{break}}{{end}}y{{end}}", "yy"),
        ("{{range 2}}{{range 0}}{{else}}{{continue}}{{end}}y{{end}}", ""),
        ('{{define "t"}}<{{.}}>{{end}}{{template "t" 5}}', "<5>"),
        ('{{block "t" "x"}}[{{.}}]{{end}}{{template "t" "y"}}', "[x][y]"),
        (
            '{{define "r"}}{{if .}}{{slice . 0 1}}-{{template "r" (slice . 1)}}{{end}}{{end}}{{template "r" "abc"}}',
            "a-b-c-",
        ),
        ('{{and 1 0 2}} {{or 0 "x"}} {{and 0 (index nil)}} {{not 1}} {{1 | and 2}}', "0 x 0 false 1"),
        (
            '{{eq 1 2 1}} {{ne 1 2}} {{lt 1.5 2.5}} {{le "a" "a"}} {{gt 1 2}} {{ge 2 2}} {{eq nil nil}}',
            "true true true true false true true",
        ),
        ('{{index "abc" 1}} {{slice "abc" 1 2}} {{len "h\u00e9"}}', "98 b 3"),
        ('{{print 1 2 "x" "y" 3}}|{{println 1 "x"}}|', "1 2xy3|1 x\n|"),
        (
            '{{html "<a>\'\\"&"}} {{js "<\'\\n\u00e9>"}} {{urlquery "a b&\u00e9"}}',
            "&lt;a&gt;&#39;&#34;&amp; \\u003C\\'\\u000A\u00e9\\u003E a+b%26%C3%A9",
        ),
        (
            '{{json "a<\\"\\x01\u2028"}} {{json 1e21}} {{json 1.5e-7}} {{json nil}}',
            '"a<\\"\\u0001\\u2028" 1e+21 1.5e-7 null',
        ),
        ('{{split "a,b" ","}} {{join (split "a,b" ",") "-"}} {{len (split "" ",")}}', "[a b] a-b 1"),
        (
            '{{title "one two-three o\'neil"}} {{upper "\u00df\u00e9"}} {{lower "\u00c9"}}',
            "One Two-Three O'Neil \u00df\u00c9 \u00e9",
        ),
        ('{{pad "a" 2 1}}|{{pad "" 2 1}}|{{truncate "abc" 2}}{{truncate "abc" 9}}', "  a ||ababc"),
        ('{{truncate "\u65e5\u672c" 4}}', "\u65e5\udce6"),
    ],
)
def test_a_template_gives_gos_output(text, output):
    assert Template(text).execute(None) == output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{nil}}", ':1:2: executing "" at <nil>: nil is not a command'),
        ('{{ "a" "b" }}', ':1:3: executing "" at <"a">: can\'t give argument to non-function "a"'),
        ("{{upper 5}}", ':1:8: executing "" at <5>: expected string; found 5'),
        ("{{upper nil}}", ':1:8: executing "" at <nil>: cannot assign nil to string'),
        ("{{upper}}", ':1:2: executing "" at <upper>: wrong number of args for upper: want 1 got 0'),
        ("{{printf}}", ':1:2: executing "" at <printf>: wrong number of args for printf: want at least 1 got 0'),
        ("{{len 5}}", ':1:2: executing "" at <len 5>: error calling len: len of type int'),
        ('{{eq "a" 1}}', ':1:2: executing "" at <eq "a" 1>: error calling eq: incompatible types for comparison'),
        ("{{lt true false}}", ':1:2: executing "" at <lt true false>: error calling lt: invalid type for comparison'),
        (
            '{{index "abc" 3}}',
            ':1:2: executing "" at <index "abc" 3>: error calling index: reflect: string index out of range',
        ),
        ('{{index "abc" 4}}', ':1:2: executing "" at <index "abc" 4>: error calling index: index out of range: 4'),
        ("{{call upper}}", ':1:7: executing "" at <upper>: wrong number of args for upper: want 1 got 0'),
        ("{{call nil}}", ':1:2: executing "" at <call nil>: error calling call: call of nil'),
        ('{{range "abc"}}{{end}}', ':1:8: executing "" at <"abc">: range can\'t iterate over abc'),
        ('{{template "zz"}}', ':1:11: executing "" at <{{template "zz"}}>: template "zz" not defined'),
        ('{{pad "a" -1 0}}', ':1:2: executing "" at <pad "a" -1 0>: error calling pad: strings: negative Repeat count'),
        ("\u00e9\n \u00e9{{(1).x}}", ':2:6: executing "" at <1>: can\'t evaluate field x in type int'),
    ],
)
def test_errors_have_the_position_and_text_of_go(text, message):
    with pytest.raises(TemplateExecError) as caught:
        Template(text).execute(None)
    assert str(caught.value) == f"template: {message}"


def test_an_error_keeps_the_output_before_the_failure():
    with pytest.raises(TemplateExecError) as caught:
        Template("before{{len 5}}after").execute(None)
    assert caught.value.partial == "before"
