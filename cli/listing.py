"""Write the rows of an ``ls`` command through a ``--format``: a table with a header, or one text per row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cli.app import App
from cli.errors import StatusError
from cli.formatting import FormatContext, ListFormat, TemplateExecError, TemplateSyntaxError
from cli.table import align

PARSING = "template parsing error: "


def write_listing(
    app: App, template: str, rows: Iterable[FormatContext], header: Mapping[str, str], *, failing: str = PARSING
) -> None:
    """Print rows, all or (after a template error) none; ``failing`` stands before an error of execution."""
    try:
        listing = ListFormat(template)
        lines = [listing.row(row) for row in rows]
        if listing.is_table:
            lines = align("\n".join([listing.header(header), *lines]).split("\n"))
    except TemplateSyntaxError as error:
        raise StatusError(f"{PARSING}{error}") from error
    except TemplateExecError as error:
        raise StatusError(f"{failing}{error}") from error
    if listing.is_table and app.color:
        from cli.style import bold

        lines[0] = bold(lines[0])
    app.out("".join(line + "\n" for line in lines))
