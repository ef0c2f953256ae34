"""Go templates, as in Docker's ``--format``: Go's text/template, fmt and encoding/json, and Docker's functions.

Usage::

    template = Template(text)           # raises TemplateSyntaxError; str(error) is Go's text
    output = template.execute(value)    # raises TemplateExecError; error.partial is the output before the error

`cli.docker_types` describes the Go types of Docker's documents. `cli.output.inspection` renders the documents of
``inspect`` commands with templates, and `cli.output.rows` renders the rows of lists.

Bytes that are not UTF-8 are kept as surrogate escapes: write output with ``errors="surrogateescape"``.
"""

from cli.gotemplate.errors import TemplateError, TemplateExecError, TemplateSyntaxError
from cli.gotemplate.template import Template

__all__ = [
    "Template",
    "TemplateError",
    "TemplateExecError",
    "TemplateSyntaxError",
]
