"""One flag of a command: a click option with the properties of a flag of Go's package pflag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from cli.pflag.values import BOOL, Kind

F = TypeVar("F", bound=Callable[..., Any])
UNSET: Any = object()


class Flag(click.Option):
    """A flag with a long name and possibly a short name. The flag's `Kind` parses the value; click does not.

    - ``usage`` is the flag's text in the help.
    - ``default_value`` is the value without the flag; if it is not given, ``kind`` decides.
    - ``default_text`` is the default value as the help shows it; "" shows none, and with None ``kind`` decides.
    - ``short_deprecated`` is the end of the warning for a deprecated short name. Example: "please use --help".
    - ``effect`` is "ignored" or "refused" for a flag that is not implemented; help on a terminal shows it.
    - ``everywhere``: a flag of ``hawse`` itself is also accepted after the name of a command or group.
    """

    def __init__(
        self,
        param_decls: Sequence[str],
        *,
        kind: Kind = BOOL,
        usage: str = "",
        default_value: Any = UNSET,
        default_text: str | None = None,
        short_deprecated: str = "",
        effect: str = "",
        everywhere: bool = False,
        **attrs: Any,
    ) -> None:
        super().__init__(param_decls, is_flag=bool(kind.bare), help=usage, type=click.UNPROCESSED, **attrs)
        self.kind = kind
        self.usage = usage
        self.default_value = kind.initial if default_value is UNSET else default_value
        self.default_text = kind.show(self.default_value) if default_text is None else default_text
        self.short_deprecated = short_deprecated
        self.effect = effect
        self.everywhere = everywhere
        self.long = next(o for o in self.opts if o.startswith("--"))
        self.short = next((o for o in self.opts if not o.startswith("--")), "")

    @property
    def key(self) -> str:
        """The name of the function parameter that gets the flag's value."""
        return self.name or ""

    @property
    def title(self) -> str:
        """The flag's name in error messages: ``-f, --force``."""
        return f"{self.short}, {self.long}" if self.short and not self.short_deprecated else self.long


def flag(*decls: str, kind: Kind = BOOL, usage: str = "", **more: Any) -> Callable[[F], F]:
    """Return a decorator that declares a flag of a command.

    Use it as ``@flag("--driver", "-d", kind=STRING, usage="...", default_value="bridge")``. Further keyword arguments
    are passed to `Flag`, for example ``hidden``. A name without dashes in ``decls`` is the parameter's name.
    """
    return click.option(*decls, cls=Flag, kind=kind, usage=usage, **more)
