"""Format the rows of lists (``network ls``, ``ps``) as Docker's ``--format`` does.

The module represents rows as Go objects with methods. The module implements the special formats ("table …", "json") and
the header line. Tabs separate the cells of a table; table.py replaces them by spaces.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from cli.gotemplate.docker_functions import HEADER_FUNCTIONS
from cli.gotemplate.errors import TemplateExecError
from cli.gotemplate.gotypes import STRING, Method, Type, Value, boolean, integer, map_of, pointer_to, string
from cli.gotemplate.jsontext import quote_json
from cli.gotemplate.template import Template
from cli.gotemplate.text import decode, encode
from cli.output.plain import Cell, fields_of, fill

Field = Cell | Callable[[], Cell]

JSON = "{{json .}}"


class FormatContext:
    """One row of a list, with the values that a template gets for names such as ``.ID`` or ``.Label "x"``.

    - ``type_name``: the Go type that error messages show (``*network.networkContext``)
    - ``fields``: maps each name to its value, or to a function that returns the value
    - ``lookups``: maps each name that takes an argument, such as Label, to a function of this argument
    - ``newer``: fields that Docker 26.1.5 does not have; templates may use them, but JSON does not contain them
    - ``protect``: a function that is applied to every value before the value is shown
    """

    def __init__(
        self,
        type_name: str,
        fields: Mapping[str, Field],
        lookups: Mapping[str, Callable[[str], str]] | None = None,
        newer: Collection[str] = (),
    ) -> None:
        self.type_name = type_name
        self.fields = fields
        self.lookups = lookups or {}
        self.newer = newer
        self.protect: Callable[[Cell], Cell] = lambda cell: cell

    def value(self) -> Value:
        """Return the row as a template value: a pointer to a Go object."""
        row = Type("opaque", self.type_name.removeprefix("*"))
        methods = {name: Method(_reader(name)) for name in self.fields}
        methods |= {name: Method(_lookup(name), (STRING,)) for name in self.lookups}
        row.pointer_methods = methods
        return Value(pointer_to(row), self)

    def cell(self, name: str) -> Cell:
        """Return the value of the row's field ``name``; if the field is a function, return its result."""
        field = self.fields[name]
        return self.protect(field() if callable(field) else field)

    def look_up(self, name: str, key: str) -> str:
        """Return the result of the row's method ``name``, such as Label, for the argument ``key``."""
        return str(self.protect(self.lookups[name](key)))

    def marshal_json(self) -> str:
        """Return a JSON object with all fields, sorted by name, but without the fields that are listed in ``newer``.

        HTML characters are escaped, as in the rows that Docker prints.
        """
        names = sorted(set(self.fields) - set(self.newer))
        members = [f"{quote_json(name)}:{_json(self.cell(name))}" for name in names]
        return "{" + ",".join(members) + "}"


def _reader(name: str) -> Callable[[FormatContext], Value]:
    return lambda context: _cell_value(context.cell(name))


def _lookup(name: str) -> Callable[[FormatContext, bytes], Value]:
    return lambda context, key: string(encode(context.look_up(name, decode(key))))


def _cell_value(cell: Cell) -> Value:
    if isinstance(cell, bool):
        return boolean(cell)
    return integer(cell) if isinstance(cell, int) else string(encode(cell))


def _json(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return str(cell) if isinstance(cell, int) else quote_json(cell, html=True)


def _label_header(_: object, key: bytes) -> Value:
    """Return the column title for a label: the last part of its key, with spaces for "-" and "_".

    Example: ``{{.Label "com.example.my-key"}}`` has the title "my key".
    """
    return string(key.rpartition(b".")[2].replace(b"-", b" ").replace(b"_", b" "))


_HEADERS = map_of(STRING, STRING, "formatter.SubHeaderContext")
_HEADERS.methods = {"Label": Method(_label_header, (STRING,))}


def template_of(text: str) -> str:
    """Return the template that the value of a ``--format`` contains; a leading word "table" is removed.

    "json" gives ``{{json .}}``. Escape sequences for tabs and line breaks are expanded.
    """
    template = JSON if text == "json" else text.removeprefix("table")
    return template.strip(" ").replace("\\t", "\t").replace("\\n", "\n")


def shows_only(text: str, fields: Collection[str]) -> bool:
    """Return whether a ``--format`` contains only fields that are in ``fields``, and contains at least one field."""
    plain = fields_of(template_of(text))
    return plain is not None and bool(plain[1]) and set(plain[1]) <= set(fields)


class ListFormat:
    """The format of a list command's rows: the parsed value of ``--format``.

    Raises TemplateSyntaxError for an invalid format, with Go's error text and no prefix.
    """

    def __init__(self, text: str) -> None:
        self.is_table = text.startswith("table")
        self.text = template_of(text)
        self._template = Template(self.text)
        self._plain = fields_of(self.text)

    def header(self, names: Mapping[str, str]) -> str:
        """Return the header line of a table; ``names`` maps fields to their column titles.

        Of Docker's template functions, only ``pad`` changes a title. If the template fails, the header line ends at the
        position of the failure, and no error is raised.
        """
        headers = Value(_HEADERS, {encode(name): encode(title) for name, title in names.items()})
        try:
            return self._template.execute(headers, replace=HEADER_FUNCTIONS)
        except TemplateExecError as error:
            return error.partial

    def row(self, context: FormatContext) -> str:
        """Return the text of one row without a newline; raises TemplateExecError with Go's error text.

        The error text has no prefix. The template interpreter is used only if the format is not a simple one (see
        `cli.output.plain`).
        """
        if self.text == JSON:
            return context.marshal_json()
        if self._plain is not None:
            pattern, names = self._plain
            if context.fields.keys() >= set(names):
                return fill(pattern, names, context.cell)
        return self._template.execute(context.value())

    @property
    def grid(self) -> Sequence[str]:
        """The field names of a table in which every cell is exactly one field.

        For any other format, the sequence is empty.
        """
        pattern, names = self._plain or ("", ())
        return names if self.is_table and pattern == "\t".join(["{}"] * len(names)) else ()

    def rows(self, columns: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the texts of all rows; ``columns`` maps each field to the values of all rows.

        The caller has checked with `shows_only` that the format contains only fields that are in ``columns``.
        """
        assert self._plain is not None
        pattern, names = self._plain
        return list(map(pattern.format, *(columns[name] for name in names)))
