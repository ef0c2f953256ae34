"""The ``hawse trace`` command, which Docker does not have: say why SOURCE can or cannot reach TARGET."""

from __future__ import annotations

import json
from typing import Any

import click

from cli.app import FLAG_ERROR, App, StatusError
from cli.pflag import STRING, command, exactly, flag
from engine.errors import EngineError

UNKNOWN = 2
"""Exit code if it is unknown whether the target is reachable."""


@command("trace [OPTIONS] SOURCE TARGET", "Say why SOURCE can or cannot reach TARGET", exactly(2))
@flag("--dry", usage="Send no probe; use only the records and the kernel's state")
@flag("--format", kind=STRING, usage="Output format: text or json", default_value="text", default_text='"text"')
@click.argument("origin")
@click.argument("target")
@click.pass_obj
def trace(app: App, origin: str, target: str, dry: bool, format: str) -> int:
    """Print the path from ``origin`` to ``target``, whether the target is reachable, and the culprit if there is one.

    If the target is unreachable, the culprit is the first fault that was found. Otherwise it is a warning. With
    ``dry``, no probe is sent. The exit code is 0 for a reachable target, 1 for an unreachable target, and 2 for an
    unknown result.
    """
    if format not in ("text", "json"):
        raise StatusError(f"invalid format {format}: text or json\nSee 'hawse trace --help'.", FLAG_ERROR)
    try:
        with app.waiting(f"Following the way from {origin} to {target}"):
            document = app.engine.system.trace(origin, target, dry=dry)
    except EngineError as error:
        raise StatusError(app.daemon_text(error), UNKNOWN) from error
    if format == "json":
        app.out(json.dumps(document, indent=2) + "\n")
    else:
        app.out_rendered(text(app, app.protected(document), *app.protected([origin, target])))
    return {True: 0, False: 1}.get(document["reachable"], UNKNOWN)


def text(app: App, document: dict[str, Any], origin: str, target: str) -> str:
    """Return the result of a trace as readable text: the path as a tree, the verdict, the culprit and the remedy.

    ``document`` is the result in the form of ``--format json``. The culprit is a proven fault, a likely fault, or a
    warning. Verdict, culprit and remedy are one line each. Without a culprit, the last two lines are missing.
    """
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text.assemble((origin, "bold"), " → ", (target, "bold")), guide_style="dim")
    branch, where = tree, ""
    for hop in document["hops"]:
        if hop["where"] != where:
            where, branch = hop["where"], tree.add(Text(hop["where"], style="cyan"))
        sign, style = ("✔", "green") if hop["ok"] else ("✘", "bold red")
        seen = " (seen)" if hop["seen"] else ""
        line = Text.assemble(
            (f"{sign} ", style), hop["what"], (f"  {hop['detail']}{seen}" if hop["detail"] else seen, "dim")
        )
        branch.add(line)
    console = Console(
        force_terminal=app.color, color_system="standard" if app.color else None, width=200, highlight=False
    )
    with console.capture() as capture:
        console.print(tree, soft_wrap=True)
        console.print(_verdict(document, origin, target), soft_wrap=True)
    return capture.get()


def _verdict(document: dict[str, Any], origin: str, target: str) -> Any:
    from rich.text import Text

    culprit, reachable = document["culprit"], document["reachable"]
    verb = {True: "reaches", False: "does not reach", None: "may or may not reach"}[reachable]
    lines = [
        (
            f"{origin} {verb} {target}",
            "bold green" if reachable else "bold red" if reachable is False else "bold yellow",
        )
    ]
    if culprit is not None:
        lines.append((f"\n{culprit['kind']}: {culprit['object']}: {culprit['detail']}", "bold"))
        lines.append((f"\nwhat to do: {culprit['fix']}", ""))
    return Text.assemble(*lines)
