"""The ``hawse doctor`` command, which Docker does not have."""

from __future__ import annotations

from collections.abc import Sequence

import click
from msgspec.structs import asdict

from cli.app import App, StatusError
from cli.output.console import Cell, print_table
from cli.output.documents import as_json
from cli.pflag import STRING, command, flag
from engine.api import FAULT, OK, WARNING, Check, Diagnosis
from engine.config import config_path
from engine.errors import EngineError, InvalidArgument

STYLES = {OK: "green", WARNING: "yellow", FAULT: "bold red"}
HEADER = ("STATUS", "OBJECT", "FINDING", "CAUSE", "FIX")
GROUP_LIMIT = 5
"""If at least this many good results have the same finding about one kind of object, one line shows all of them."""


@command("doctor [OPTIONS]", "Check everything on this host that hawse's networks need")
@flag("--fix", usage="Repair hawse's own objects, then check again")
@flag("--format", kind=STRING, usage='"json": one JSON document')
@click.pass_obj
def doctor(app: App, fix: bool, format: str) -> None:
    """Check this host, and print the results as a table or as one JSON document (``--format json``).

    The table shows the status (ok, warning or fault), the object, the finding, the cause and the remedy of each result.
    On a terminal, the cause and the remedy are below the finding. `GROUP_LIMIT` or more good results share one line if
    they have the same finding about one kind of object.

    With ``fix``, the faults of hawse's own objects are repaired. The repairs are printed too, and the results show the
    state after the repair. The exit code is 1 if there is a fault.
    """
    if format not in ("", "table", "json"):
        raise StatusError(f"unknown format {format}: use json, or none for a table")
    diagnosis = diagnosed(app, fix=fix)
    if format == "json":
        checks = [asdict(check) for check in diagnosis.checks]
        repaired = {"repaired": list(diagnosis.repaired)} if fix else {}
        app.out(as_json({"checks": checks, **repaired}, indent=4) + "\n")
    else:
        write(app, diagnosis, fix=fix)
    if any(check.status == FAULT for check in diagnosis.checks):
        raise StatusError()


def diagnosed(app: App, *, fix: bool) -> Diagnosis:
    """Check this host and return the results; with ``fix``, repair hawse's own objects and check again.

    If daemon.json cannot be used, nothing is checked or repaired, and the only result is this fault.
    """
    try:
        engine = app.engine
    except EngineError as error:
        if not isinstance(error, InvalidArgument) and not str(error).startswith(f"{config_path()}"):
            raise
        cause = "the configuration file was edited, or its owner or mode was changed"
        return Diagnosis([Check(FAULT, "daemon.json", str(error), cause, "correct the file")])
    with app.waiting("Checking this host"):
        return engine.diagnostics.doctor(fix=fix)


def write(app: App, diagnosis: Diagnosis, *, fix: bool) -> None:
    """Print the checks as a table, then the repairs and a summary.

    ``fix`` says whether repairs were requested; if none was necessary, a line says so. The worst checks come last,
    because the end of the output is nearest to the prompt.
    """
    shown = summarised(diagnosis.checks)
    if app.on_terminal:
        print_table(app, HEADER[:3], [(*_head(check), _finding(check)) for check in shown])
    else:
        print_table(app, HEADER, [(*_head(c), Cell(c.what), Cell(c.cause), Cell(c.fix)) for c in shown])
    app.out_lines(f"repaired: {line}" for line in diagnosis.repaired)
    if fix and not diagnosis.repaired:
        app.out("There was nothing to repair.\n")
    numbers = [(sum(c.status == s for c in diagnosis.checks), s) for s in (FAULT, WARNING, OK)]
    app.out(", ".join(f"{n} {s}{'s' if n != 1 and s != OK else ''}" for n, s in numbers) + "\n")


def _head(check: Check) -> tuple[Cell, Cell]:
    return Cell(check.status, STYLES[check.status]), Cell(check.object)


def _finding(check: Check) -> Cell:
    """Return one table cell with a check's finding, and with the cause and the remedy on the lines below.

    On a terminal, the cause and the remedy have no separate columns, because the table would be too wide.
    """
    named = (("cause", check.cause), ("fix", check.fix))
    return Cell(check.what, below=[f"  {name}: {value}" for name, value in named if value])


def summarised(checks: Sequence[Check]) -> list[Check]:
    """Return the checks in the order good results, warnings, faults.

    If at least `GROUP_LIMIT` good results have the same finding and the same kind of object, they become one result.
    Instead of an object's name, this result has the number of objects, such as "12 networks".
    """
    alike: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        if check.status == OK:
            alike.setdefault((check.object.partition(" ")[0], check.what), []).append(check)
    lines = []
    for (kind, what), group in alike.items():
        lines += group if len(group) < GROUP_LIMIT else [Check(OK, f"{len(group)} {kind}s", what)]
    return [*lines, *(c for c in checks if c.status == WARNING), *(c for c in checks if c.status == FAULT)]
