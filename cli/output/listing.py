"""Write the rows of an ``ls`` command through a ``--format``: a table with a header, or one text per row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cli.app import App, StatusError, bold
from cli.gotemplate import TemplateExecError, TemplateSyntaxError
from cli.output.rows import FormatContext, ListFormat
from cli.output.table import Measure, align, align_columns
from cli.output.terminal_escapes import revealed_width
from cli.output.text import columns as width_of

PARSING = "template parsing error: "


def write_listing(
    app: App, template: str, rows: Iterable[FormatContext], header: Mapping[str, str], *, failing: str = PARSING
) -> None:
    """Print rows, all or (after a template error) none; ``failing`` stands before an error of execution."""
    try:
        listing = ListFormat(template)
        lines = [listing.row(shown(app, row)) for row in rows]
        if listing.is_table:
            lines = align("\n".join([listing.header(header), *lines]).split("\n"), measure(app))
    except TemplateSyntaxError as error:
        raise StatusError(f"{PARSING}{error}") from error
    except TemplateExecError as error:
        raise StatusError(f"{failing}{error}") from error
    write(app, lines, headed=listing.is_table)


def write_columns(app: App, template: str, columns: Mapping[str, Sequence[str]], header: Mapping[str, str]) -> None:
    """Print the same, much faster, where a template `shows_only` fields of which there are the cells of all rows."""
    listing = ListFormat(template)
    columns = {name: app.protected(cells) for name, cells in columns.items()}
    if listing.is_table:
        columns = {name: [header[name], *cells] for name, cells in columns.items()}
    if listing.grid:
        lines = align_columns([columns[name] for name in listing.grid], measure(app))
    else:
        lines = listing.rows(columns)
        if listing.is_table:
            lines = align("\n".join(lines).split("\n"), measure(app))
    write(app, lines, headed=listing.is_table)


def write(app: App, lines: Sequence[str], *, headed: bool) -> None:
    """Print lines, the first in bold where it is a header and the terminal wants colour."""
    if headed and app.color:
        lines = [bold(lines[0]), *lines[1:]]
    app.out_rendered("".join(f"{line}\n" for line in lines))


def shown(app: App, row: FormatContext) -> FormatContext:
    """Have a row's data prepared for a terminal; in a pipe it needs no preparation."""
    if app.on_terminal:
        row.protect = app.protected
    return row


def measure(app: App) -> Measure:
    """Choose how to count the terminal columns of a text that is still to be revealed."""
    if app.on_terminal:
        return revealed_width
    return width_of
