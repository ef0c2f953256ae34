"""Print the rows of an ``ls`` command: as a table with a header, or as the ``--format`` template's result per row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import click

from cli.app import App, StatusError
from cli.gotemplate import TemplateError
from cli.output.rows import FormatContext, ListFormat
from cli.output.table import Measure, align, align_columns
from cli.output.terminal_escapes import revealed, revealed_width
from cli.output.terminal_table import table_lines
from cli.output.text import columns as width_of

PARSING = "template parsing error: "


def write_listing(
    app: App,
    template: str,
    rows: Iterable[FormatContext],
    header: Mapping[str, str],
    *,
    elided: Sequence[str] = (),
) -> None:
    """Print all rows of a list command in the given format.

    - ``template``: the value of ``--format``
    - ``header``: maps each field to the title of its column
    - ``elided``: the titles of the columns that may be omitted if the table is wider than the terminal
      (see `may_be_narrowed`)

    If the template is invalid or fails for a row, nothing is printed, and StatusError is raised.
    """
    try:
        listing = ListFormat(template)
        lines = [listing.row(shown(app, row)) for row in rows]
        if listing.is_table and may_be_narrowed(app, elided):
            return write_fitted(app, [line.split("\t") for line in (listing.header(header), *lines)], elided)
        if listing.is_table:
            lines = align("\n".join([listing.header(header), *lines]).split("\n"), measure(app))
    except TemplateError as error:
        raise StatusError(f"{PARSING}{error}") from error
    return write(app, lines, headed=listing.is_table)


def write_columns(
    app: App,
    template: str,
    columns: Mapping[str, Sequence[str]],
    header: Mapping[str, str],
    *,
    elided: Sequence[str],
) -> None:
    """Print all rows of a list command in the given format, much faster than `write_listing`.

    ``columns`` maps each field to the values of all rows. The caller has checked with `shows_only` that the template
    contains only fields that are in ``columns``. `write_listing` explains the other parameters.
    """
    listing = ListFormat(template)
    columns = {name: app.protected(cells) for name, cells in columns.items()}
    if listing.is_table:
        columns = {name: [header[name], *cells] for name, cells in columns.items()}
    if listing.grid and may_be_narrowed(app, elided):
        return write_fitted(app, list(zip(*(columns[name] for name in listing.grid), strict=True)), elided)
    if listing.grid:
        lines = align_columns([columns[name] for name in listing.grid], measure(app))
    else:
        lines = listing.rows(columns)
        if listing.is_table:
            lines = align("\n".join(lines).split("\n"), measure(app))
    return write(app, lines, headed=listing.is_table)


def list_template(format: str, kind: str, table: str, raw: str, *, quiet: bool) -> str:
    """Return the Go template that prints a list of objects of a kind, such as "network".

    An empty ``--format`` and "table" select ``table``, and "raw" selects ``raw``. With ``quiet``, the template for
    these formats shows only the ids. Any other ``--format`` is returned unchanged: a template, or "json".
    """
    if format in ("", "table"):
        return "{{.ID}}" if quiet else table
    if format == "raw":
        return f"{kind}_id: {{{{.ID}}}}" if quiet else raw
    return format


def omittable(titles: Sequence[str], format: str, *, no_trunc: bool = False) -> Sequence[str]:
    """Return the titles of the columns that may be omitted: ``titles`` for the default table, otherwise ().

    A command prints its default table if ``--format`` is missing or "table", and ``--no-trunc`` is not given.
    """
    return titles if format in ("", "table") and not no_trunc else ()


def may_be_narrowed(app: App, elided: Sequence[str]) -> bool:
    """Return whether a table that is wider than the terminal may be narrowed: columns are cut, and some are omitted.

    Only the command's default table may be narrowed, and only on a terminal with colour (`App.color`). ``elided`` is
    the result of `omittable`, which is empty for any other table.
    """
    return bool(elided) and app.color


def write_fitted(app: App, rows: Sequence[Sequence[str]], elided: Sequence[str]) -> None:
    """Print a table with its titles as the first row; if it is wider than the terminal, narrow it (`table_lines`)."""
    shown = [[revealed(cell) for cell in row] for row in rows]
    app.out_rendered("".join(f"{line}\n" for line in table_lines(shown, elided, app.columns)))


def write(app: App, lines: Sequence[str], *, headed: bool) -> None:
    """Print the lines of a list command; with ``headed``, the first is a header, bold if the terminal shows colour."""
    if headed and app.color:
        lines = [click.style(lines[0], bold=True), *lines[1:]]
    app.out_rendered("".join(f"{line}\n" for line in lines))


def shown(app: App, row: FormatContext) -> FormatContext:
    """Return the row; on a terminal, a mark replaces each control character in its values (`App.protected`)."""
    if app.on_terminal:
        row.protect = app.protected
    return row


def measure(app: App) -> Measure:
    """Return the function that computes a text's width; on a terminal, a mark is as wide as its escape sequence."""
    return revealed_width if app.on_terminal else width_of
