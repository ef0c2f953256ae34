"""Comparison and repair of one of hawse's tables: its static rules and the elements of its sets and maps.

A parameter ``table`` is family and name of the table (``inet hawse``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from drivers.errors import NoPermission
from drivers.firewall import decoding, table_structure, transaction
from drivers.firewall.elements import Element
from drivers.firewall.encoding import MAIN, Packed, packed, ruleset, shapes
from drivers.firewall.table_structure import Structure
from drivers.linux import libnftables
from drivers.model import Difference

MARKS = "complete"  # name of the chain whose rules have no effect; their comments record the table's state
VERSION = re.compile(r"ruleset_(\d+)")
RULES, FRAME = "rules", "frame"
"""Values of `Difference.detail` that say what a repair must rewrite.

``RULES`` means the table's rules. ``FRAME`` means the whole table, because the table's chains or sets differ from the
expected ones.
"""
RESTRICTING = ("bridges", "internal", "subnets4", "subnets6", "ports", "muted")
"""Sets whose elements block packets; if such an element is missing, packets pass that must not pass."""
CHUNK = 1000  # maximum number of set elements per line of a script, for readability


class Contents(Struct, frozen=True):
    """The contents that a table should have: set elements and additional rules.

    The elements in ``required`` must exist. The elements in ``tolerated`` may exist or be missing. The sets named in
    ``kept`` may contain any elements. ``rules`` is a script that adds rules to the static rules.
    """

    required: Collection[Element] = ()
    tolerated: Collection[Element] = ()
    kept: Collection[str] = ()
    rules: str = ""


def compare(table: str, contents: Contents) -> list[Difference]:
    """Return the differences between a table and its required contents; changes nothing.

    Runs in the calling thread's network namespace.
    """
    structure = table_structure.find(table)
    if structure is None:
        return [Difference("missing", table, "the table", opens=True, detail=FRAME)]
    try:
        due = table_structure.expected(table, contents.rules)
    except NoPermission:
        # Rewrite the rules without a comparison, because this process lacks CAP_SYS_ADMIN. The comparison would load
        # the expected rules into a new namespace, and creating that namespace requires CAP_SYS_ADMIN.
        return [Difference("upkeep", table, "the rules", detail=RULES), *_elements(table, contents)]
    if structure[:3] != due[:3]:
        # Treat a table of an older version as damage: another program may have loaded a saved table (nft -f). Report a
        # table of a newer version as superseded: a command of that version probably made it.
        kind = "superseded" if _version(structure) > _version(due) else "changed"
        return [Difference(kind, table, _reshaped(structure, due), opens=True, detail=FRAME)]
    chains = [c for c in due.chains if c != MARKS and structure.rules.get(c) != due.rules.get(c)]
    rules = [Difference("changed", f"{table} {chain}", "the rules", opens=True, detail=RULES) for chain in chains]
    return [*rules, *_elements(table, contents)]


def repair(table: str, contents: Contents, differences: Sequence[Difference], notes: str = "") -> None:
    """Repair the ``differences`` that `compare` found in a table.

    If only elements differ, only those elements are changed. If rules are lost, one transaction restores the rules and
    all missing elements. Elements of other programs are removed before that transaction, because they may conflict with
    hawse's elements. If chains or sets are wrong, the whole table is created again. When rules are written, the script
    ``notes`` also runs. Its rules record the table's state in their comments.
    """
    details = {d.detail for d in differences}
    foreign = [d.detail for d in differences if isinstance(d.detail, tuple) and not isinstance(d.detail, Element)]
    missing = [d.detail for d in differences if isinstance(d.detail, Element)]
    if details.isdisjoint((RULES, FRAME)):
        if missing or foreign:
            transaction.change(table, missing, (), foreign)
        return
    if FRAME in details:
        libnftables.run(f"add table {table}\ndelete table {table}\n{_whole(table, contents)}{contents.rules}{notes}")
        return
    if foreign:
        transaction.change(table, (), (), foreign)
    libnftables.run(f"{install_script(table)}{contents.rules}{notes}{script(table, missing)}")


def install_script(table: str = MAIN) -> str:
    """Return the script that writes or rewrites the static rules of a table and keeps all elements."""
    return f"add table {table}\nflush table {table}\n{ruleset(table)}\n"


def script(table: str, add: Iterable[Element], remove: Iterable[Element] = ()) -> str:
    """Return the nftables script that removes the elements in ``remove`` and then adds the elements in ``add``."""
    return "".join([*commands(table, "destroy", remove), *commands(table, "add", add)])


def commands(table: str, verb: str, items: Iterable[Element]) -> Iterator[str]:
    """Yield the lines of an nftables script that add or destroy elements; ``verb`` is "add" or "destroy"."""
    by_set: dict[str, list[str]] = defaultdict(list)
    for item in items:
        with_value = verb == "add" and item.value
        by_set[item.set].append(f"{item.key} : {item.value}" if with_value else item.key)
    for set_name, texts in by_set.items():
        for start in range(0, len(texts), CHUNK):
            yield f"{verb} element {table} {set_name} {{ {', '.join(texts[start : start + CHUNK])} }}\n"


def _whole(table: str, contents: Contents) -> str:
    """Return the script that creates a table with its rules and required elements.

    If the table already exists, the script also adds those of its elements that ``contents`` allows but does not
    require. Elements are left out if the existing set or map has a wrong definition.
    """
    structure = table_structure.find(table)
    due = table_structure.expected(table, contents.rules) if structure is not None else None
    alike = [name for name in shapes(table) if structure and due and structure.sets.get(name) == due.sets[name]]
    tolerated = set(contents.tolerated)
    stay = [e for e in held(table, alike) if e.set in contents.kept or e in tolerated]
    return install_script(table) + script(table, dict.fromkeys([*contents.required, *stay]))


def held(table: str, sets: Iterable[str] = ()) -> list[Element]:
    """Return the elements that the kernel has in the named ``sets`` of a table; without ``sets``, in all its sets."""
    known = shapes(table)
    listed = transaction.held(table, sets or known)
    return [
        decoding.element(name, listed_element, known[name])
        for name, items in listed.items()
        for listed_element in items
    ]


def _version(of: Structure) -> int:
    """Return the highest version number in the names of a table's sets, or 0 if no name contains a version number."""
    return max((int(match[1]) for name in of.sets if (match := VERSION.fullmatch(name))), default=0)


def _reshaped(structure: Structure, due: Structure) -> str:
    """Return a text that names the chains and sets in which the present ``structure`` differs from ``due``."""
    parts: Sequence[tuple[str, Mapping[str, object], Mapping[str, object]]] = (
        ("chain", structure.chains, due.chains),
        ("set", structure.sets, due.sets),
    )
    names = [f"{kind} {n}" for kind, a, b in parts for n in sorted({*a, *b}) if a.get(n) != b.get(n)]
    return ", ".join(names) or "the table's flags"


def _elements(table: str, contents: Contents) -> Iterator[Difference]:
    known = shapes(table)
    due: dict[str, dict[Packed, Element]] = {name: {} for name in known}
    for element in contents.required:
        due[element.set][packed(element, table)] = element
    allowed = {(element.set, packed(element, table)) for element in contents.tolerated}
    for name, items in transaction.held(table, known).items():
        there, expected = set(items), due[name]
        for entry in expected.keys() - there:
            element = expected[entry]
            yield Difference("missing", f"{table} {name}", _shown(element), name in RESTRICTING, element)
        if name not in contents.kept:
            for entry in there - expected.keys():
                if (name, entry) not in allowed:
                    text = _shown(decoding.element(name, entry, known[name]))
                    yield Difference("foreign", f"{table} {name}", text, detail=(name, entry))


def _shown(element: Element) -> str:
    return f"{element.key} : {element.value}" if element.value else element.key
