"""Format templates that contain only fields. hawse prints them without the template interpreter, with the same output
as the interpreter.

The template interpreter handles all other formats.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.gotemplate import TemplateExecError, TemplateSyntaxError
from cli.output.plain import fields_of
from cli.output.rows import FormatContext, ListFormat

ROW = {"Name": "wéb\udcff", "Count": -3, "Yes": True, "No": False, "Later": lambda: "{{.Name}} {} %s", "Empty": ""}


def context():
    return FormatContext("*row", ROW, lookups={"Label": lambda key: f"<{key}>"})


def interpreted(format):
    return format._template.execute(context().value())


def pieces():
    fields = st.sampled_from(
        [f"{{{{{left}.{name}{right}}}}}" for name in ROW for left in ("", " ") for right in ("", "  ")]
    )
    return st.lists(st.one_of(fields, st.text("ab{}:!0\t\n é", max_size=4)), max_size=6).map("".join)


@given(pieces())
def test_plain_formats_give_the_output_of_the_interpreter(text):
    try:
        format = ListFormat(text)
    except TemplateSyntaxError:
        return  # a format with a syntax error prints no rows
    assert format.row(context()) == interpreted(format)


@pytest.mark.parametrize(
    "text",
    [
        "{{- .Name}}",
        "{{.Name -}} x",
        '{{.Label "a"}}',
        "{{upper .Name}}",
        "{{.Name.Nope}}",
        "{{/* c */}}",
        "{{.}}",
        "{{{.Name}}",
    ],
)
def test_anything_more_than_fields_is_not_plain(text):
    assert fields_of(text) is None


def test_default_tables_are_plain():
    from cli.container.ls import TABLE as CONTAINERS
    from cli.network.ls import TABLE as NETWORKS

    assert fields_of(NETWORKS) and fields_of(CONTAINERS)


def test_a_missing_field_gives_the_error_of_the_interpreter():
    with pytest.raises(TemplateExecError, match="can't evaluate field Nope"):
        ListFormat("{{.Name}} {{.Nope}}").row(context())
