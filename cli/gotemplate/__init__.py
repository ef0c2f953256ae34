"""Go templates as in Docker's ``--format``: the language, Docker's functions, inspect documents and rows of lists.

The package implements Go's text/template, fmt and encoding/json, and the Go types of Docker's inspect documents. It
knows neither the source of the documents nor the layout of columns. It does not know which prefix or exit code a
command adds to an error.

The template engine::

    template = parse(text)                    # raises TemplateSyntaxError; str(error) is Go's text
    output = template.execute(value)          # raises TemplateExecError; error.partial is the output before the error

For inspect (``network inspect``, ``inspect``, ``container inspect``)::

    inspector = Inspector(kind, text)                      # kind "network" or "container"
    output = inspector.render(document)                    # output of one document, with a newline

    ``document`` is a mapping (or JSON text; numbers then keep their spelling). ``text`` may be "json".
    Both errors say ``template parsing error: …`` as ``docker inspect`` does. ``error.exit_code`` is 64 for syntax,
    1 for execution. Docker prints an empty line on stdout when no document could be rendered.

For lists (``network ls``, ``ps``)::

    row = FormatContext("*network.networkContext", {"ID": "abc", "Name": name, "Labels": lambda: text},
                        lookups={"Label": lambda key: labels.get(key, "")})
    listing = ListFormat("table {{.Name}}\\t{{upper .Driver}}")   # raises TemplateSyntaxError
    listing.is_table                                       # True: lines hold tab-separated cells
    listing.header({"Name": "NAME", "Driver": "DRIVER"})   # "NAME\\tDRIVER"; functions do not change header texts
    listing.row(row)                                       # "web\\tBRIDGE"; raises TemplateExecError

    if shows_only("{{.Name}}", ("ID", "Name")):            # the format uses only these fields
        ListFormat("{{.Name}}").rows({"ID": ids, "Name": names})        # all rows together, given by columns

    ``fields`` values are strings, booleans, integers or functions of no argument that return one; ``lookups`` are
    methods of one string argument. ``json`` as a format means ``{{json .}}``; ``\\t`` and ``\\n`` are expanded.
    Errors carry Go's text without prefix (``template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type
    *network.networkContext``): ``network ls`` prefixes ``template parsing error: ``, ``ps`` ``failed to execute
    template: ``.

Bytes that are not UTF-8 are kept as surrogate escapes: write output with ``errors="surrogateescape"``.
"""

from cli.gotemplate.errors import TemplateError, TemplateExecError, TemplateSyntaxError
from cli.gotemplate.template import Template, parse

__all__ = [
    "Template",
    "TemplateError",
    "TemplateExecError",
    "TemplateSyntaxError",
    "parse",
]
