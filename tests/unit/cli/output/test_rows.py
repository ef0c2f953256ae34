"""The tests check the rows of listings and the header lines of tables."""

import pytest

from cli.gotemplate import TemplateExecError, TemplateSyntaxError
from cli.output.rows import FormatContext, ListFormat, shows_only

LABELS = {"com.example.my-key": "v<1>"}
ROW = FormatContext(
    "*network.networkContext",
    {"ID": "ab12", "Name": "web", "Labels": lambda: "com.example.my-key=v<1>", "Driver": "bridge"},
    lookups={"Label": lambda key: LABELS.get(key, "")},
)
TITLES = {"ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Labels": "LABELS"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{{.Name}}", "web"),
        ("{{.ID}}\\t{{upper .Driver}}\\n", "ab12\tBRIDGE\n"),
        ('{{.Label "com.example.my-key"}}|{{.Label "no"}}', "v<1>|"),
        ("json", '{"Driver":"bridge","ID":"ab12","Labels":"com.example.my-key=v\\u003c1\\u003e","Name":"web"}'),
        ("{{json .Labels}}", '"com.example.my-key=v<1>"'),
        ('{{if eq .Name "web"}}yes{{end}}{{with .Driver}}-{{.}}{{end}}', "yes-bridge"),
    ],
)
def test_a_format_gives_one_line_per_row(text, line):
    assert ListFormat(text).row(ROW) == line


@pytest.mark.parametrize("cell", ["", "web", "<&>", "\x00\x1f\x7f\t\n", "\"\\\\'", "网\u2028\xa0", "\udcff", True, 12])
def test_json_of_a_row_is_that_of_the_interpreter(cell):
    row = FormatContext("*x", {"B": cell, "A": lambda: cell, "New": cell}, newer=("New",))
    assert ListFormat("json").row(row) == ListFormat("{{.|json}}").row(row)


def test_a_tables_header_keeps_its_titles():
    listing = ListFormat("table {{upper .Name}}\\t{{truncate .ID 2}}\\t{{json .Driver}}\\t{{.Nope}}")
    assert listing.is_table
    assert listing.header(TITLES) == "NAME\tNETWORK ID\tDRIVER\t<no value>"
    assert ListFormat('table {{.Name}}\\t{{.Label "com.example.my-key"}}').header(TITLES) == "NAME\tmy key"
    assert ListFormat("table {{upper .Name}}\\t{{truncate .ID 2}}").row(ROW) == "WEB\tab"


def test_a_header_ends_where_its_template_fails():
    assert ListFormat("table {{.Name}} {{len 5}}{{.ID}}").header(TITLES) == "NAME "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.Nope}}", ':1:2: executing "" at <.Nope>: can\'t evaluate field Nope in type *network.networkContext'),
        ("{{.Name.x}}", ':1:7: executing "" at <.Name.x>: can\'t evaluate field x in type string'),
        ('{{.Name "x"}}', ':1:2: executing "" at <.Name>: wrong number of args for Name: want 0 got 1'),
        ("{{.Label}}", ':1:2: executing "" at <.Label>: wrong number of args for Label: want 1 got 0'),
    ],
)
def test_errors_name_the_go_type(text, message):
    with pytest.raises(TemplateExecError) as caught:
        ListFormat(text).row(ROW)
    assert str(caught.value) == f"template: {message}"


def test_syntax_errors_have_no_prefix():
    with pytest.raises(TemplateSyntaxError, match=r"^template: :1: unclosed action$"):
        ListFormat("table {{.Name")


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ("table {{.Name}}\\t{{ .ID }}", True),
        ("<{{.Name}}>", True),
        ("{{.Name}} {{.Driver}}", False),
        ("{{upper .Name}}", False),
        ("{{.Name}}{{.}}", False),
        ("{{- .Name}}", False),
        ("{{.Name", False),
        ("json", False),
        ("table", False),
        ("no field", False),
    ],
)
def test_a_format_with_no_other_than_the_given_fields_is_recognized(text, only):
    assert shows_only(text, ("ID", "Name")) is only


@pytest.mark.parametrize("text", ["{{.Name}}", "table {{.ID}}\\t{ {{ .Name }} }", "{}{{.Name}}\\n{{.Name}}"])
def test_rows_formatted_by_columns_equal_rows_formatted_one_by_one(text):
    ids, names = ["ab12", "cd34"], ["web", "{0}\t网"]
    rows = [FormatContext("*x", {"ID": id, "Name": name}) for id, name in zip(ids, names, strict=True)]
    listing = ListFormat(text)
    assert listing.rows({"ID": ids, "Name": names}) == [listing.row(row) for row in rows]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("table {{.ID}}\\t{{.Name}}\\t{{.ID}}", ("ID", "Name", "ID")),
        ("table {{.ID}}", ("ID",)),
        ("table {{.ID}} \\t{{.Name}}", ()),
        ("table {{.ID}}\\n{{.Name}}", ()),
        ("table {{.ID}}\\t{{upper .Name}}", ()),
        ("{{.ID}}\\t{{.Name}}", ()),
        ("table", ()),
    ],
)
def test_a_grid_names_the_field_of_each_cell(text, fields):
    assert ListFormat(text).grid == fields
