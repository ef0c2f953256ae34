"""The functions that Go provides in every template.

The module holds the signatures of these functions. Other modules implement them (comparing, indexing, printing,
escaping). ``and`` and ``or`` are only declared here. The evaluator implements both, because it must stop at the first
argument that decides the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cli.gotemplate.budget import Budget
from cli.gotemplate.comparison import equal, less, less_or_equal
from cli.gotemplate.errors import Fault
from cli.gotemplate.escapes import html, javascript, url_query
from cli.gotemplate.formats import sprintf
from cli.gotemplate.gotypes import ANY, ANY_VALUE, STRING, Function, Value, boolean, integer, string, truth, unwrap
from cli.gotemplate.indexing import index, length, slice_value
from cli.gotemplate.printing import printable, sprint, sprintln

_ONE = (ANY_VALUE,)


def _predicate(params: int, test: Callable[..., bool], variadic: bool = False) -> Function:
    return Function((ANY_VALUE,) * params, lambda *args: boolean(test(*args)), ANY_VALUE if variadic else None)


def _declared_only(*_: Value | None) -> Value | None:
    raise AssertionError("and/or are evaluated by the executor")


def _call(name: str, function: Value | None) -> Value | None:
    function = unwrap(function)
    if function is None:
        raise Fault("call of nil")
    raise Fault(f"non-function {name} of type {function.type}")


def call_of(name: str) -> Function:
    """Return the template function ``call``, which always raises Fault, because no template value is a function.

    ``name`` is the source text of the first argument, for the error text.
    """
    return Function(_ONE, lambda function, *_: _call(name, function), ANY_VALUE)


def _escaper(escape: Callable[[bytes], bytes], growth: int, budget: Budget) -> Function:
    def run(*args: Value | None) -> Value:
        data = sprint([printable(arg) for arg in args], budget)
        budget.produce(len(data) * growth)
        return string(escape(data))

    return Function((), run, ANY)


def builtin_functions(budget: Budget) -> Mapping[str, Function]:
    """Return Go's template functions by name; ``budget`` limits the bytes of their results."""
    return {
        "and": Function(_ONE, _declared_only, ANY_VALUE),
        "or": Function(_ONE, _declared_only, ANY_VALUE),
        "call": call_of("call"),
        "not": _predicate(1, lambda value: not truth(unwrap(value))),
        "eq": _predicate(1, equal, variadic=True),
        "ne": _predicate(2, lambda left, right: not equal(left, right)),
        "lt": _predicate(2, less),
        "le": _predicate(2, less_or_equal),
        "gt": _predicate(2, lambda left, right: not less_or_equal(left, right)),
        "ge": _predicate(2, lambda left, right: not less(left, right)),
        "index": Function(_ONE, index, ANY_VALUE),
        "slice": Function(_ONE, slice_value, ANY_VALUE),
        "len": Function(_ONE, lambda item: integer(length(item))),
        "print": Function((), lambda *args: string(sprint(args, budget)), ANY),
        "println": Function((), lambda *args: string(sprintln(args, budget)), ANY),
        "printf": Function((STRING,), lambda text, *args: string(sprintf(text, args, budget)), ANY),
        "html": _escaper(html, 5, budget),
        "js": _escaper(javascript, 6, budget),
        "urlquery": _escaper(url_query, 3, budget),
    }


BUILTIN_NAMES = frozenset(builtin_functions(Budget()))
