"""A table of ours against what it is to hold: its static rules, and every element of its sets and maps."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from drivers.api import Difference, NoPermission
from drivers.firewall import batch, decoding, nft, structure
from drivers.firewall.elements import Element
from drivers.firewall.encoding import MAIN, Packed, packed, ruleset, shapes
from drivers.firewall.structure import Structure

MARKS = "complete"  # the chain whose rules are notes
VERSION = re.compile(r"ruleset_(\d+)")
RULES, FRAME = "rules", "frame"
"""Details of a difference: the rules must be written again, or the whole table, because its chains or sets differ."""
RESTRICTING = ("bridges", "internal", "subnets4", "subnets6", "ports", "muted")
"""Sets whose elements keep packets out: where one is missing, more passes."""
CHUNK = 1000  # elements a line, to keep lines readable for people who debug


@dataclass(frozen=True, slots=True)
class Contents:
    """What a table is to hold: ``wanted`` elements; ``tolerated`` ones, and any in the sets ``kept``, may be there.

    ``rules`` is a script that adds rules to the static ones.
    """

    wanted: Collection[Element] = ()
    tolerated: Collection[Element] = ()
    kept: Collection[str] = ()
    rules: str = ""


def compare(table: str, contents: Contents) -> list[Difference]:
    """Tell how a table differs, in the calling thread's network namespace; changes nothing."""
    found = structure.find(table)
    if found is None:
        return [Difference("missing", table, "the table", opens=True, detail=FRAME)]
    try:
        due = structure.expected(table, contents.rules)
    except NoPermission:
        # Because only CAP_SYS_ADMIN makes the namespace to compare with, the rules are written again without a look.
        return [Difference("upkeep", table, "the rules", detail=RULES), *_elements(table, contents)]
    if found[:3] != due[:3]:
        kind = "changed" if _version(found) == _version(due) else "superseded"
        return [Difference(kind, table, _reshaped(found, due), opens=True, detail=FRAME)]
    chains = [c for c in due.chains if c != MARKS and found.rules.get(c) != due.rules.get(c)]
    rules = [Difference("changed", f"{table} {chain}", "the rules", opens=True, detail=RULES) for chain in chains]
    return [*rules, *_elements(table, contents)]


def repair(table: str, contents: Contents, found: Sequence[Difference], notes: str = "") -> None:
    """Put right what `compare` found. ``notes`` is a script that notes so among the rules, if they are written again.

    Elements alone are changed as commands change them. Where rules are lost, they and all that is missing come back in
    one transaction. Foreign elements go before that, because some of ours may not be added beside them.
    """
    details = {d.detail for d in found}
    foreign = [d.detail for d in found if isinstance(d.detail, tuple) and not isinstance(d.detail, Element)]
    missing = [d.detail for d in found if isinstance(d.detail, Element)]
    if details.isdisjoint((RULES, FRAME)):
        if missing or foreign:
            batch.change(table, missing, (), foreign)
        return
    if FRAME in details:
        nft.run(f"add table {table}\ndelete table {table}\n{_whole(table, contents)}{contents.rules}{notes}")
        return
    if foreign:
        batch.change(table, (), (), foreign)
    nft.run(f"{install_script(table)}{contents.rules}{notes}{script(table, missing)}")


def install_script(table: str = MAIN) -> str:
    """The script that (re)writes the static rules of a table and keeps all elements."""
    return f"add table {table}\nflush table {table}\n{ruleset(table)}\n"


def script(table: str, add: Iterable[Element], remove: Iterable[Element] = ()) -> str:
    """The script that destroys elements, where they are there, and then adds some."""
    return "".join([*_commands(table, "destroy", remove), *_commands(table, "add", add)])


def _commands(table: str, verb: str, items: Iterable[Element]) -> Iterator[str]:
    by_set: dict[str, list[str]] = defaultdict(list)
    for item in items:
        with_value = verb == "add" and item.value
        by_set[item.set].append(f"{item.key} : {item.value}" if with_value else item.key)
    for set_name, texts in by_set.items():
        for start in range(0, len(texts), CHUNK):
            yield f"{verb} element {table} {set_name} {{ {', '.join(texts[start : start + CHUNK])} }}\n"


def _whole(table: str, contents: Contents) -> str:
    """The script of a new table, with what is tolerated of the one there is."""
    found = structure.find(table)
    due = structure.expected(table, contents.rules) if found is not None else None
    alike = [name for name in shapes(table) if found and due and found.sets.get(name) == due.sets[name]]
    tolerated = set(contents.tolerated)
    stay = [e for e in held(table, alike) if e.set in contents.kept or e in tolerated]
    return install_script(table) + script(table, dict.fromkeys([*contents.wanted, *stay]))


def held(table: str, sets: Iterable[str] = ()) -> list[Element]:
    """The elements that the kernel has, of some sets or of all."""
    known = shapes(table)
    listed = batch.held(table, sets or known)
    return [decoding.element(name, one, known[name]) for name, found in listed.items() for one in found]


def _version(of: Structure) -> int:
    """Which version of the rules it is, the newest where there are traces of several, 0 where there is none."""
    return max((int(match[1]) for name in of.sets if (match := VERSION.fullmatch(name))), default=0)


def _reshaped(found: Structure, due: Structure) -> str:
    """Say which chains and sets are not as they should be."""
    parts: Sequence[tuple[str, Mapping[str, object], Mapping[str, object]]] = (
        ("chain", found.chains, due.chains),
        ("set", found.sets, due.sets),
    )
    names = [f"{kind} {n}" for kind, a, b in parts for n in sorted({*a, *b}) if a.get(n) != b.get(n)]
    return ", ".join(names) or "the table's flags"


def _elements(table: str, contents: Contents) -> Iterator[Difference]:
    known = shapes(table)
    due: dict[str, dict[Packed, Element]] = {name: {} for name in known}
    for element in contents.wanted:
        due[element.set][packed(element, table)] = element
    allowed = {(element.set, packed(element, table)) for element in contents.tolerated}
    for name, found in batch.held(table, known).items():
        there, wanted = set(found), due[name]
        for one in wanted.keys() - there:
            element = wanted[one]
            yield Difference("missing", f"{table} {name}", _shown(element), name in RESTRICTING, element)
        if name not in contents.kept:
            for one in there - wanted.keys():
                if (name, one) not in allowed:
                    text = _shown(decoding.element(name, one, known[name]))
                    yield Difference("foreign", f"{table} {name}", text, detail=(name, one))


def _shown(element: Element) -> str:
    return f"{element.key} : {element.value}" if element.value else element.key
