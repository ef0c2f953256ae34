"""Format strings, as in Sprintf of Go's package fmt.

The module implements the grammar of ``%[index]flags width.precision verb``, and Go's reports of errors in a format
string. printing.py prints the values.
"""

from __future__ import annotations

from collections.abc import Sequence

from cli.gotemplate.budget import Budget
from cli.gotemplate.gotypes import INT_KINDS, UINT_KINDS, Value, unwrap
from cli.gotemplate.printing import Printer
from cli.gotemplate.text import decode, encode, valid

_MAX_NUMBER = 1_000_000
_FLAGS = {"#": "sharp", "0": "zero", "+": "plus", "-": "minus", " ": "space"}
_DIGITS = "0123456789"


class _Format:
    """The printing of one format string, with its arguments.

    ``at`` is the current position in the format string, and ``arg`` is the index of the next argument to print.
    """

    def __init__(self, text: str, args: Sequence[Value | None], budget: Budget) -> None:
        self.text = text
        self.args = args
        self.printer = Printer(budget)
        self.flags = self.printer.flags
        self.at = 0
        self.arg = 0
        self.reordered = False
        self._after_index = False
        self._good_index = True

    def run(self) -> bytes:
        text = self.text
        while True:
            percent = text.find("%", self.at)
            literal = text[self.at :] if percent < 0 else text[self.at : percent]
            if literal:
                self.printer.write(encode(literal))
            if percent < 0:
                break
            self.at = percent + 1
            self._directive()
        if not self.reordered and self.arg < len(self.args):
            self._extra()
        return self.printer.result()

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _directive(self) -> None:
        self.flags.clear()
        self._good_index = True
        while (flag := self._peek()) and flag in _FLAGS:
            setattr(self.flags, _FLAGS[flag], True)
            self.at += 1
        self._index()
        self._width()
        # A point at the very end of the format string is the verb letter, and not the start of a precision.
        if self._peek() == "." and self.at + 1 < len(self.text):
            self._precision()
        if not self._after_index:
            self._index()
        verb = self._peek()
        self.at += 1
        if not verb:
            self.printer.write(b"%!(NOVERB)")
        else:
            self._verb(valid(verb))

    def _verb(self, verb: str) -> None:
        flags = self.flags
        if verb == "%":
            self.printer.write(b"%")
        elif not self._good_index:
            self.printer.write(encode(f"%!{verb}(BADINDEX)"))
        elif self.arg >= len(self.args):
            self.printer.write(encode(f"%!{verb}(MISSING)"))
        else:
            if verb in "vw":
                flags.sharp_v, flags.sharp = flags.sharp, False
                flags.plus_v, flags.plus = flags.plus, False
            self.printer.argument(self.args[self.arg], verb)
            self.arg += 1

    def _number(self) -> int | None:
        number = None
        while (digit := self._peek()) and digit in _DIGITS:
            if number is not None and number > _MAX_NUMBER:
                # If a number in the format string is too large, Go stops parsing the string and reports a missing verb.
                self.at = len(self.text)
                return None
            number = (number or 0) * 10 + int(digit)
            self.at += 1
        return number

    def _width(self) -> None:
        flags = self.flags
        if self._peek() != "*":
            flags.width = self._number()
            if self._after_index and flags.width is not None:
                self._good_index = False
            return
        self.at += 1
        flags.width = self._number_argument()
        if flags.width is None:
            self.printer.write(b"%!(BADWIDTH)")
        elif flags.width < 0:
            flags.width = -flags.width
            flags.minus = True
            flags.zero = False
        self._after_index = False

    def _precision(self) -> None:
        self.at += 1
        if self._after_index:
            self._good_index = False
        self._index()
        if self._peek() != "*":
            self.flags.precision = self._number() or 0
            return
        self.at += 1
        precision = self._number_argument()
        if precision is None or precision < 0:
            self.printer.write(b"%!(BADPREC)")
            precision = None
        self.flags.precision = precision
        self._after_index = False

    def _number_argument(self) -> int | None:
        """Return the next argument, which a ``*`` in the format uses as width or precision.

        Return None if the argument is missing, is no integer, or is too large.
        """
        if self.arg >= len(self.args):
            return None
        value = unwrap(self.args[self.arg])
        self.arg += 1
        if value is None or (value.type.kind not in INT_KINDS and value.type.kind not in UINT_KINDS):
            return None
        number: int = value.raw
        return number if -_MAX_NUMBER <= number <= _MAX_NUMBER else None

    def _index(self) -> None:
        """Parse an argument index ``[n]`` at the current position; argument n becomes the next argument to print.

        The arguments are counted from 1. Without a valid index, the next argument to print does not change.
        """
        self._after_index = False
        if self._peek() != "[":
            return
        self.reordered = True
        end = self.text.find("]", self.at)
        if end < 0 or len(self.text) - self.at < 3:
            self.at += 1
            self._good_index = False
            return
        digits = self.text[self.at + 1 : end]
        self.at = end + 1
        good = bool(digits) and all(c in _DIGITS for c in digits) and len(digits) < 8 and int(digits) <= _MAX_NUMBER
        self._after_index = good
        if good and 0 < int(digits) <= len(self.args):
            self.arg = int(digits) - 1
        else:
            self._good_index = False

    def _extra(self) -> None:
        self.flags.clear()
        self.printer.write(b"%!(EXTRA ")
        for index, arg in enumerate(self.args[self.arg :]):
            if index:
                self.printer.write(b", ")
            arg = unwrap(arg)
            if arg is None:
                self.printer.write(b"<nil>")
            else:
                self.printer.write(encode(arg.type.name + "="))
                self.printer.argument(arg, "v")
        self.printer.write(b")")


def sprintf(format_: bytes, args: Sequence[Value | None], budget: Budget) -> bytes:
    """Return ``args`` printed with the format string ``format_``, as Go's fmt.Sprintf does.

    ``budget`` limits the bytes of the result.
    """
    return _Format(decode(format_), args, budget).run()
