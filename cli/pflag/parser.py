"""Split a command line into flag values and arguments by the rules of Go's package pflag.

Long flags cannot be abbreviated. Accepted forms are ``--flag=value``, ``--flag value``, ``-f value``, ``-fvalue``,
``-f=value`` and grouped short flags. ``--`` ends the flags.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cli.pflag.flag import Flag
from engine.golang.strconv import quote


class FlagError(Exception):
    """The command line is invalid; the error text is that of Go's pflag.

    For an unknown flag such as ``--forse`` or ``-forse``, ``unknown`` is the long form ``--forse``. The caller can then
    suggest a similar flag. For any other error, ``unknown`` is "".
    """

    def __init__(self, text: str, unknown: str = "") -> None:
        super().__init__(text)
        self.unknown = unknown


class FlagSet:
    """The flags of one command while its command line is parsed.

    - ``values``: the value of each flag
    - ``changed``: the names of the flags that the command line has
    - ``notice``: called with one line of text for each deprecated short name, as soon as it is parsed

    Each call of `parse` adds to ``values`` and ``changed``.
    """

    def __init__(self, flags: Iterable[Flag], notice: Callable[[str], None]) -> None:
        self.flags = list(flags)
        self.long = {f.long: f for f in self.flags}
        self.short = {f.short: f for f in self.flags if f.short}
        self.values: dict[str, Any] = {f.key: f.default_value for f in self.flags}
        self.changed: set[str] = set()
        self.notice = notice

    def parse(self, argv: Sequence[str], *, interspersed: bool = True) -> list[str]:
        """Parse flags and return the remaining arguments; raises FlagError.

        Without ``interspersed``, all words after the first argument are arguments, even if they look like flags.
        """
        try:
            return self._parse(argv, interspersed)
        finally:
            # Commands get tuples. During parsing, a flag that may be repeated (`list_of`) collects its values in a
            # list, so that thousands of uses of the flag take linear time.
            self.values |= {key: tuple(value) for key, value in self.values.items() if isinstance(value, list)}

    def _parse(self, argv: Sequence[str], interspersed: bool) -> list[str]:
        rest = deque(argv)
        arguments: list[str] = []
        while rest:
            text = rest.popleft()
            if text == "--":
                return [*arguments, *rest]
            if not text.startswith("-") or text == "-":
                arguments.append(text)
                if not interspersed:
                    return [*arguments, *rest]
            elif text.startswith("--"):
                self.read_long(text, rest)
            else:
                self.read_short(text[1:], rest)
        return arguments

    def read_long(self, text: str, rest: deque[str]) -> None:
        """Parse one word of the form ``--flag`` or ``--flag=value``; raises FlagError.

        ``rest`` has the words after this word. If the flag needs a value and the word has none, the first word of
        ``rest`` is removed and is the value.
        """
        name, equals, value = text.partition("=")
        if text[2:3] in ("-", "="):
            raise FlagError(f"bad flag syntax: {text}")
        flag = self.long.get(name)
        if flag is None:
            raise FlagError(f"unknown flag: {name}", name)
        if not equals:
            if not flag.kind.bare and not rest:
                raise FlagError(f"flag needs an argument: {text}")
            value = flag.kind.bare or rest.popleft()
        self.set(flag, value)

    def read_short(self, letters: str, rest: deque[str]) -> None:
        """Parse a group of short flags such as ``-abc``; raises FlagError.

        ``letters`` is the group without the hyphen. Only the last flag may take a value. The value is the remaining
        text of the group (``-p80``, ``-p=80``). Without such a text, the next word is removed from ``rest`` and is the
        value.
        """
        whole = letters
        while letters:
            flag = self.short.get("-" + letters[0])
            if flag is None:
                text = f"unknown shorthand flag: {_first_byte(letters)} in -{letters}"
                raise FlagError(text, f"--{whole.partition('=')[0]}")
            following = letters[1:]
            if len(letters) > 2 and letters[1] == "=":
                value, following = letters[2:], ""
            elif flag.kind.bare:
                value = flag.kind.bare
            elif following:
                value, following = following, ""
            elif rest:
                value = rest.popleft()
            else:
                raise FlagError(f"flag needs an argument: {quote(letters[0], mark=chr(39))} in -{letters}")
            if flag.short_deprecated:
                self.notice(f"Flag shorthand {flag.short} has been deprecated, {flag.short_deprecated}")
            self.set(flag, value)
            letters = following

    def set(self, flag: Flag, text: str) -> None:
        """Process one use of a flag: compute the flag's new value from ``text``; raises FlagError."""
        try:
            self.values[flag.key] = flag.kind.fold(self.values[flag.key], text)
        except ValueError as error:
            raise FlagError(f"invalid argument {quote(text)} for {quote(flag.title)} flag: {error}") from error
        self.changed.add(flag.key)


def _first_byte(text: str) -> str:
    """Return the first byte of ``text`` as pflag prints it: the byte's value, read as a code point, in quotes."""
    return quote(chr(text.encode("utf-8", "surrogateescape")[0]), mark="'")
