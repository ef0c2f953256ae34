"""One verb on several containers: the good ones are printed as typed, the errors come together at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cli.app import App
from cli.errors import StatusError
from engine.errors import EngineError


def for_each(
    app: App, containers: Iterable[str], act: Callable[[str], None], *, forgiven: tuple[type[EngineError], ...] = ()
) -> None:
    """Act on each container; a failure does not keep the others, a ``forgiven`` one is mentioned and no failure."""
    problems = []
    for container in containers:
        try:
            act(container)
        except forgiven as error:
            app.err(app.daemon_text(error) + "\n")
        except EngineError as error:
            problems.append(app.daemon_text(error))
        except StatusError as error:
            problems.append(error.text)
        else:
            app.out_lines([container])
    if problems:
        raise StatusError("\n".join(problems))
