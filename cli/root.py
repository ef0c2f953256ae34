"""The root of the command tree; only this module converts errors to text and exit codes."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from cli import examples
from cli.absent import ABSENT, ONLY_HERE, SOCKET
from cli.app import FLAG_ERROR, App, StatusError
from cli.pflag import LIST, STRING, Flag, Group
from cli.pflag.help import path
from cli.system.version import version_line
from engine.errors import EngineError, PermissionDenied, in_words
from engine.paths import DEFAULT_RUN, api_socket, run_directory
from engine.runtime import guarded

COMMANDS = {
    "__answer": "cli.system.answer:answer",
    "__complete": "cli.completion.complete:complete",
    "__exited": "cli.system.exited:exited",
    "__rejoin": "cli.system.rejoin:rejoin",
    "attach": "cli.container.attach:attach",
    "completion": "cli.completion.command:completion",
    "container": "cli.container:container",
    "context": "cli.context:context",
    "create": "cli.container.create:create",
    "doctor": "cli.doctor:doctor",
    "events": "cli.system.events:events",
    "exec": "cli.container.exec:exec_",
    "help": "cli.system.help:show_help",
    "image": "cli.image:image",
    "images": "cli.image.ls:images",
    "import": "cli.image.import_:import_",
    "info": "cli.system.info:info",
    "inspect": "cli.inspect:inspect",
    "kill": "cli.container.kill:kill",
    "load": "cli.image.load:load",
    "logs": "cli.container.logs:logs",
    "network": "cli.network:network",
    "node": "cli.node:node",
    "port": "cli.port:port",
    "ps": "cli.container.ls:ps",
    "publish": "cli.container.publish:publish",
    "pull": "cli.image.pull:pull",
    "rename": "cli.container.rename:rename",
    "restart": "cli.container.restart:restart",
    "rm": "cli.container.rm:rm",
    "rmi": "cli.image.rm:rmi",
    "run": "cli.container.run:run",
    "save": "cli.image.save:save",
    "start": "cli.container.start:start",
    "stats": "cli.container.stats:stats",
    "stop": "cli.container.stop:stop",
    "swarm": "cli.swarm:swarm",
    "system": "cli.system:system",
    "tag": "cli.image.tag:tag",
    "top": "cli.container.top:top",
    "trace": "cli.trace:trace",
    "unpublish": "cli.container.unpublish:unpublish",
    "version": "cli.system.version:version",
    "wait": "cli.container.wait:wait",
}
"""Maps the name of each command to the location of the command in the code, such as ``cli.network.create:create``."""

COMMON = ("run", "exec", "ps", "pull", "images", "version", "info")
MANAGEMENT = ("container", "context", "image", "network", "node", "swarm", "system")
SECTIONS = {
    "Common Commands": COMMON,
    "Management Commands": MANAGEMENT,
    "Commands": [name for name in COMMANDS if name not in COMMON + MANAGEMENT],
}

FLAGS = [
    Flag(["--config"], kind=STRING, usage="Location of client config files; hawse has none", effect="ignored"),
    Flag(["--context", "-c"], kind=STRING, usage='Only "default", which is this host'),
    Flag(["--debug", "-D"], usage="Enable debug mode: show the traceback of an unexpected error"),
    Flag(["--dry-run"], usage="Change nothing; show the commands that --explain would show", everywhere=True),
    Flag(["--explain"], usage="Show the equivalent ip, bridge, nft and sysctl commands on stderr", everywhere=True),
    Flag(["--host", "-H"], kind=LIST, usage="Only a unix socket of this host (unix://…)"),
    Flag(["--log-level", "-l"], kind=STRING, usage="Set the logging level", default_value="info",
         hidden=True, effect="ignored"),
    Flag(["--no-color"], usage="Never use colour, even on a terminal"),
    Flag(["--version", "-v"], usage="Print version information and quit"),
]  # fmt: skip

DRY_RUNS = (
    "network create", "network connect", "network disconnect", "network rm",
    "create", "run", "publish", "unpublish",
)  # fmt: skip
"""The commands that support ``--dry-run``; any other command is refused with this flag.

A dry run can show only changes of the kernel's network state.
"""
NEED_NO_HOST = ("completion", "help")
"""The commands that act on no host, besides the hidden ones that begin with two underscores."""
LOG_LEVELS = ("panic", "fatal", "error", "warn", "warning", "info", "debug", "trace")
INTERRUPTED, BROKEN_PIPE = 130, 141  # exit codes: 128 + signal number, as in a shell


class Root(Group):
    """The command ``hawse`` itself: it handles the global flags and reports unknown commands."""

    def unknown(self, ctx: click.Context, args: list[str]) -> StatusError:
        """Return Docker's error for an unknown command; with ``--version``, print the version and exit with code 0."""
        self.version_if_requested(ctx)
        return StatusError(f"hawse: '{args[0]}' is not a hawse command.\nSee 'hawse --help'")

    def absent(self, line: str) -> str:
        """Return the reason why hawse lacks a command of Docker, or "" if Docker has no such command.

        ``line`` is the command's full name, such as ``hawse image push``.
        """
        text = ABSENT.get(line.partition(" ")[2], "")
        return text.replace(SOCKET, str(api_socket())) if SOCKET in text else text

    def notes(self, line: str) -> str:
        """Return the notes and examples of a command; ``line`` is its full name, such as ``hawse network create``."""
        return examples.notes(line)

    def check(self, ctx: click.Context) -> None:
        """Check that the command of ``ctx`` may have the given global flags; raises StatusError.

        The flags must not name another host. ``--dry-run`` is only for commands that support dry runs.
        """
        name = ctx.command.name or ""
        if not (isinstance(ctx.command, Group) or name in NEED_NO_HOST or name.startswith("__")):
            require_this_host(ctx.obj.global_flags["host"], ctx.obj.global_flags["context"], ctx.obj.environ)
        line = path(ctx).removeprefix("hawse ").removeprefix("container ")
        if ctx.obj.is_dry_run and not isinstance(ctx.command, Group) and line not in DRY_RUNS:
            raise StatusError(f"hawse: --dry-run works with {', '.join(DRY_RUNS)}, not with {line}", FLAG_ERROR)

    def version_if_requested(self, ctx: click.Context) -> None:
        """If the user gave ``--version``, print the version and exit with code 0; otherwise do nothing.

        This is called if the command line names no command, or an unknown one.
        """
        if ctx.params.get("version"):
            ctx.obj.out(version_line(readable=ctx.obj.on_terminal) + "\n")
            raise click.exceptions.Exit(0)

    def invoke(self, ctx: click.Context) -> Any:
        """Copy the values of the global flags to the `App`, then run the command that the arguments name.

        Raises StatusError if both ``--host`` and ``--context`` are given, or if the log level is unknown.
        """
        app: App = ctx.obj
        app.debug = app.debug or ctx.params["debug"]
        app.no_color = app.no_color or ctx.params["no_color"]
        app.global_flags = ctx.params
        if ctx.params["host"] and ctx.params["context"]:
            raise StatusError("conflicting options: either specify --host or --context, not both")
        if (ctx.params["log_level"] or "info").lower() not in LOG_LEVELS:
            raise StatusError(f"Unable to parse logging level: {ctx.params['log_level']}")
        if not ctx.args:
            self.version_if_requested(ctx)
        return super().invoke(ctx)


def require_this_host(hosts: Sequence[str], context: str, environ: Mapping[str, str]) -> None:
    """Check that ``--host``, ``--context``, DOCKER_HOST and DOCKER_CONTEXT name this host; raises StatusError.

    As in Docker's client, ``--host`` overrides both variables, and DOCKER_HOST overrides DOCKER_CONTEXT.
    """
    failed, remedy = "Failed to initialize: unable to resolve docker endpoint:", ""
    if len(hosts) > 1:
        raise StatusError(f"{failed} Please specify only one -H")
    name, value = ("--host ", hosts[0]) if hosts else ("DOCKER_HOST=", environ.get("DOCKER_HOST", ""))
    if not (hosts or context or value):
        context, remedy = environ.get("DOCKER_CONTEXT", ""), _REMEDY.format("DOCKER_CONTEXT")
    if context not in ("", "default"):
        raise StatusError(f'{failed} context "{context}": context not found\n{ONLY_HERE}{remedy}')
    if value and not value.strip().startswith(("unix://", "fd://")):
        remedy = "" if hosts else _REMEDY.format("DOCKER_HOST")
        raise StatusError(f"hawse: {name}{value} is not this host\n{ONLY_HERE}{remedy}")


_REMEDY = """
The environment variable {0} names that host. To use this host: unset {0}"""


root = Root(
    "hawse",
    COMMANDS,
    sections=SECTIONS,
    params=list(FLAGS),
    help="Docker's networks for any Linux process",
    epilog=examples.GUIDE,
)


def run_and_revive(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; start the agent and the supervisor again if they were killed."""
    try:
        return run(argv, App())
    finally:
        revive()


def revive() -> None:
    """Start a guard if the guard was killed together with the agent or the supervisor.

    The guard is the process that restarts a killed agent or supervisor. Each command calls this function at its end. If
    no guard is needed, the call takes only some microseconds.
    """
    if guarded.needs_guard(os.environ.get("HAWSE_RUN") or DEFAULT_RUN):
        with suppress(PermissionDenied):
            guarded.start_guard(str(run_directory()))


def run(argv: Sequence[str], app: App) -> int:
    """Run one command line and return its exit code; errors are printed and not raised.

    ``argv`` has the arguments without the program's name. A broken pipe gives the exit code 141 without an error text.
    """
    try:
        code = _run_command(argv, app)
        app.explain()
    except BrokenPipeError:
        return BROKEN_PIPE
    return code


def _run_command(argv: Sequence[str], app: App) -> int:
    try:
        with root.make_context("hawse", list(argv), obj=app) as ctx:
            code = root.invoke(ctx)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except StatusError as error:
        return fail(app, error.text, error.exit_code)
    except EngineError as error:
        return fail(app, app.daemon_text(error), error.exit_code)
    except KeyboardInterrupt:
        if app.stderr.isatty():
            app.err("\n")  # start a new line for the shell's prompt, because the terminal shows ^C at the cursor
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        return crashed(app, error)


def fail(app: App, text: str, exit_code: int) -> int:
    """Print the error text, unless it is empty, and the app's hint; return ``exit_code``."""
    if text:
        app.error(text + "\n")
    if app.hint and app.stderr.isatty():
        app.err(app.hint + "\n")
    return exit_code


def crashed(app: App, error: Exception) -> int:
    """Print an unexpected exception in one line and return the exit code 1.

    With ``--debug``, print the traceback too.
    """
    if app.debug:
        app.err("".join(traceback.format_exception(error)))
    if isinstance(error, OSError) and error.strerror:
        return fail(app, f"hawse: {in_words(error)}", 1)
    if isinstance(error, MemoryError):
        return fail(app, "hawse: cannot allocate memory", 1)
    return fail(app, f"hawse: internal error: {type(error).__name__}: {error} (--debug shows where)", 1)
