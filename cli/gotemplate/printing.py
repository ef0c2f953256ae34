"""Print Go values as Print and Println of Go's package fmt do, or print one value with a format verb such as ``%v``.

The module prints composite values, nil, pointers, values with a String method, and errors about wrong verbs. formats.py
reads format strings, and verbs.py prints numbers and strings.
"""

from __future__ import annotations

from collections.abc import Sequence

from cli.gotemplate.budget import Budget
from cli.gotemplate.gotypes import INT_KINDS, UINT_KINDS, Raw, Slice, Type, Value, pointer_to, string, unwrap
from cli.gotemplate.text import encode
from cli.gotemplate.verbs import Flags

_NIL = b"<nil>"
_POINTED_KINDS = ("array", "slice", "struct", "map")
_STRINGABLE = "vsxXq"


class Printer:
    """Collects printed text.

    The attribute ``flags`` holds the flags of the current format verb, such as ``%v``.
    """

    __slots__ = ("_erroring", "budget", "flags", "parts")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.flags = Flags()
        self.parts: list[bytes] = []
        self._erroring = False

    def write(self, data: bytes) -> None:
        """Append ``data`` to the printed text.

        The length of ``data`` counts against the budget of output bytes. Raises Fault if the budget is exhausted.
        """
        self.budget.produce(len(data))
        self.parts.append(data)

    def result(self) -> bytes:
        """Return all text that was printed."""
        return b"".join(self.parts)

    def argument(self, value: Value | None, verb: str) -> None:
        """Print one argument with a format verb such as "v"; None is a nil interface."""
        value = unwrap(value)
        if value is None:
            if verb in "Tv":
                self.write(self.flags.pad(_NIL))
            else:
                self.bad_verb(None, verb)
        elif verb == "T":
            self.write(self.flags.text(encode(value.type.name)))
        elif verb == "p":
            self._pointer(value, verb)
        elif not self._by_method(value, verb):
            self._value(value, verb, 0)

    def bad_verb(self, value: Value | None, verb: str) -> None:
        """Print ``%!verb(type=value)``, Go's text for a verb that does not fit the value.

        If ``value`` is None, the text is ``%!verb(<nil>)``.
        """
        self.write(encode(f"%!{verb}("))
        if value is None:
            self.write(_NIL)
        else:
            self.write(encode(value.type.name + "="))
            self._erroring = True
            self._value(value, "v", 0)
            self._erroring = False
        self.write(b")")

    def _by_method(self, value: Value, verb: str) -> bool:
        """Print the value by its String or GoString method; return whether anything was printed.

        - ``%#v`` uses GoString; the verbs v, s, x, X and q use String.
        - The verb w prints Go's text for a wrong verb.
        - In all other cases, and for a value without the method, nothing is printed.
        """
        if self._erroring:
            return False
        name = "GoString" if self.flags.sharp_v else "String" if verb in _STRINGABLE else ""
        method = value.type.method(name) if name else None
        if method is None:
            if verb == "w":
                self.bad_verb(value, verb)
            return verb == "w"
        if value.raw is None:
            self.write(_NIL)
            return True
        text = method.call(value.raw)
        data: bytes = text.raw if text is not None else b""
        self.write(self.flags.text(data) if self.flags.sharp_v else self.flags.string(data, verb) or b"")
        return True

    def _nested(self, type_: Type, raw: Raw, verb: str, exported: bool = True) -> None:
        if type_.kind == "interface":
            if raw is None:
                self.write(encode(type_.name) + b"(nil)" if self.flags.sharp_v else _NIL)
            else:
                self._nested(raw.type, raw.raw, verb)
            return
        value = Value(type_, raw)
        if not (exported and self._by_method(value, verb)):
            self._value(value, verb, 1)

    def _value(self, value: Value, verb: str, depth: int) -> None:
        self.budget.step()
        kind = value.type.kind
        if kind == "struct":
            self._struct(value, verb)
        elif kind == "map":
            self._map(value, verb)
        elif kind in ("slice", "array"):
            self._sequence(value, verb)
        elif kind == "ptr" and depth == 0 and value.raw is not None and value.type.element().kind in _POINTED_KINDS:
            self.write(b"&")
            self._nested(value.type.element(), value.raw, verb)
        elif kind == "ptr":
            self._pointer(value, verb)
        else:
            self._simple(value, verb)

    def _simple(self, value: Value, verb: str) -> None:
        kind, raw, flags = value.type.kind, value.raw, self.flags
        if kind == "string":
            data = flags.string(raw, verb)
        elif kind == "bool":
            data = flags.boolean(raw, verb)
        elif kind in INT_KINDS:
            data = flags.integer(raw, verb)
        elif kind in UINT_KINDS:
            data = flags.integer(raw, verb, signed=False)
        elif kind == "float64":
            data = flags.floating(raw, verb)
        else:
            data = flags.complex_number(raw, verb) if kind == "complex128" else b"{}"
        if data is None:
            self.bad_verb(value, verb)
        else:
            self.write(data)

    def _pointer(self, value: Value, verb: str) -> None:
        if value.type.kind not in ("ptr", "map", "slice"):
            self.bad_verb(value, verb)
            return
        # Go prints a memory address, which has no meaning here; print a number that looks like an address on Go's heap.
        address = 0 if value.raw is None else 0xC000000000 + id(value.raw) % 2**32
        flags = self.flags
        if verb == "v" and flags.sharp_v:
            shown = flags.prefixed_hex(address) if address else b"nil"
            self.write(encode(f"({value.type.name})(") + shown + b")")
        elif verb == "v" and not address:
            self.write(flags.pad(_NIL))
        elif verb in "vp":
            self.write(flags.prefixed_hex(address, not flags.sharp))
        elif verb in "bodxX":
            self.write(flags.integer(address, verb, signed=False) or b"")
        else:
            self.bad_verb(value, verb)

    def _struct(self, value: Value, verb: str) -> None:
        flags = self.flags
        self.write(encode(value.type.name) + b"{" if flags.sharp_v else b"{")
        for index, field in enumerate(value.type.fields):
            if index:
                self.write(b", " if flags.sharp_v else b" ")
            if flags.plus_v or flags.sharp_v:
                self.write(encode(field.name + ":"))
            self._nested(field.type, value.raw[index], verb, field.exported)
        self.write(b"}")

    def _map(self, value: Value, verb: str) -> None:
        sharp = self.flags.sharp_v
        if sharp and value.raw is None:
            self.write(encode(value.type.name) + b"(nil)")
            return
        self.write(encode(value.type.name) + b"{" if sharp else b"map[")
        key_type, elem = value.type.key, value.type.element()
        assert key_type is not None
        for index, key in enumerate(sorted(value.raw or ())):
            if index:
                self.write(b", " if sharp else b" ")
            self._nested(key_type, key, verb)
            self.write(b":")
            self._nested(elem, value.raw[key], verb)
        self.write(b"}" if sharp else b"]")

    def _sequence(self, value: Value, verb: str) -> None:
        sharp, elem = self.flags.sharp_v, value.type.element()
        if elem.kind == "uint8" and verb in "sqxX":
            self.write(self.flags.string(bytes(value.raw.items), verb) or b"")
            return
        if sharp and value.raw is None:
            self.write(encode(value.type.name) + b"(nil)")
            return
        self.write(encode(value.type.name) + b"{" if sharp else b"[")
        items = value.raw.items if isinstance(value.raw, Slice) else value.raw or ()
        for index, item in enumerate(items):
            if index:
                self.write(b", " if sharp else b" ")
            self._nested(elem, item, verb)
        self.write(b"}" if sharp else b"]")


def sprint(args: Sequence[Value | None], budget: Budget) -> bytes:
    """Return ``args`` printed as text, as Go's fmt.Sprint does.

    Two arguments are separated by a space if neither of the two is a string. ``budget`` limits the bytes of the text.
    """
    printer = Printer(budget)
    after_string = False
    for index, arg in enumerate(args):
        arg = unwrap(arg)
        is_string = arg is not None and arg.type.kind == "string"
        if index and not is_string and not after_string:
            printer.write(b" ")
        printer.argument(arg, "v")
        after_string = is_string
    return printer.result()


def sprintln(args: Sequence[Value | None], budget: Budget) -> bytes:
    """Return ``args`` printed as text, as Go's fmt.Sprintln does.

    Spaces separate the arguments, and a newline ends the text. ``budget`` limits the bytes of the text.
    """
    printer = Printer(budget)
    for index, arg in enumerate(args):
        if index:
            printer.write(b" ")
        printer.argument(arg, "v")
    printer.write(b"\n")
    return printer.result()


def printable(value: Value | None) -> Value | None:
    """Return the value that an action ``{{pipeline}}`` prints; ``value`` is the value of the pipeline.

    - For None, the result is a string with the text ``<no value>``.
    - For a nil pointer, the result is this pointer.
    - Any other pointer is replaced by the value that it refers to. This value is addressable.
    - For an addressable value, the result is a pointer to the value if the pointer's type has a String method and the
      value's type has none.
    - For any other value, the result is the value itself.
    """
    if value is None:
        return string(b"<no value>")
    if value.type.kind == "ptr":
        target = value.dereferenced()
        if target is None:
            return value
        value = target
    if value.addressable and value.type.method("String") is None and value.type.method("String", True) is not None:
        return Value(pointer_to(value.type), value.raw)
    return value
