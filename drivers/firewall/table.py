"""The table ``inet hawse``: its static rules, and changes of its elements.

Every change is one transaction, and installs the rules first where they are missing (first use, or somebody flushed
the ruleset). What other commands had put into a flushed table comes back by `resync`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from drivers.firewall import batch, nft, rules
from drivers.firewall.elements import Element, name
from drivers.firewall.encoding import ruleset, shapes

TABLE = "inet hawse"
VERSION_SET = "ruleset_5"
MARKS = "complete"  # the chain whose rules say: everything that ought to be here is; flushing the rules takes them, too
MARKED = "marked"  # the chain that lets in packets with a firewall mark
WHOLE, GUARDED = f"whole, as of {VERSION_SET}", "spoof guard"
INTERFACE_TYPE = "ifname"
CHUNK = 1000  # elements a line, to keep lines readable for people who debug


def change(add: Iterable[Element] = (), remove: Iterable[Element] = ()) -> None:
    """Add and remove elements, in one transaction; idempotent both ways.

    A map's element whose key is there with another value is replaced.
    """
    added, removed = list(dict.fromkeys(add)), list(dict.fromkeys(remove))
    if not added and not removed:
        return
    try:
        batch.change(TABLE, added, [Element(VERSION_SET, "0"), *removed])
    except nft.Refused as error:
        if error.taken:
            # Not done at once, because removing and adding in one transaction costs time that grows with the map.
            batch.change(TABLE, added, [*removed, *(e for e in added if e.value)])
        elif not error.nothing_there:
            raise
        elif added:
            nft.run(install_script() + _script(added, removed))


def resync(
    wanted: Iterable[Element],
    keep: Iterable[str] = (),
    unsettled: Iterable[Element] = (),
    marks: Iterable[str] = (WHOLE,),
    accept_mark: str = "",
) -> None:
    """Make the table hold exactly ``wanted``, touching only what differs.

    The sets in ``keep`` lose nothing, and ``unsettled`` elements stay as they are, whether they are there or not.
    Packets with the firewall mark ``accept_mark`` are let in, "" for none.

    The static rules are written anew in the same transaction. Live connections don't notice.
    """
    kept = {VERSION_SET, *keep}
    present = set(elements())
    target = set(wanted)
    gone = {e for e in present if e.set not in kept} - target - set(unsettled)
    marking = "".join(map(_marking, marks)) + (_accepting(accept_mark) if accept_mark else "")
    nft.run(install_script() + marking + _script(sorted(target - present), sorted(gone)))


def mark(what: str) -> None:
    """Note ``what`` among the rules, unless there are none yet."""
    try:
        nft.run(_marking(what))
    except nft.Refused as error:
        if not error.nothing_there:
            raise


def accept_mark(given: str) -> None:
    """Let in packets with this firewall mark ("mark" or "mark/mask") and no other; idempotent."""
    nft.run(f"flush chain {TABLE} {MARKED}\n{_accepting(given)}")


def noted() -> set[str]:
    """What is noted among the rules: `WHOLE` if the table is as the last `resync` left it, not begun anew since."""
    return set(filter(None, rules.comments(TABLE, MARKS)))


def _marking(what: str) -> str:
    return f'add rule {TABLE} {MARKS} return comment "{what}"\n'


def _accepting(given: str) -> str:
    mark, _, mask = given.partition("/")
    matching = f"meta mark and {mask} == {mark}" if mask else f"meta mark {mark}"
    return f"add rule {TABLE} {MARKED} iifname != @internal oifname != @internal {matching} accept\n"


def remove_all() -> None:
    """Remove the table; idempotent."""
    nft.run(f"destroy table {TABLE}")


def elements(set_name: str = "") -> list[Element]:
    """The elements the kernel has, of one set (not map) or of all; none where there is no table."""
    what = f"set {TABLE} {set_name}" if set_name else f"table {TABLE}"
    try:
        objects = nft.listing(what)
    except nft.Refused as error:
        if error.nothing_there:
            return []
        raise
    return [e for o in objects for kind in ("set", "map") if kind in o for e in _read(o[kind])]


def install_script() -> str:
    """The script that (re)writes the static rules and keeps all elements."""
    return f"add table {TABLE}\nflush table {TABLE}\n{ruleset()}\n"


def _script(add: Iterable[Element], remove: Iterable[Element]) -> str:
    return "".join([*_commands("destroy", remove), *_commands("add", add)])


def _commands(verb: str, items: Iterable[Element]) -> Iterator[str]:
    by_set: dict[str, list[str]] = defaultdict(list)
    for item in items:
        with_value = verb == "add" and item.value
        by_set[item.set].append(f"{item.key} : {item.value}" if with_value else item.key)
    for set_name, texts in by_set.items():
        for start in range(0, len(texts), CHUNK):
            yield f"{verb} element {TABLE} {set_name} {{ {', '.join(texts[start : start + CHUNK])} }}\n"


def _read(described: dict[str, Any]) -> Iterator[Element]:
    types = described["type"] if isinstance(described["type"], list) else [described["type"]]
    if isinstance(described["type"], dict):  # declared by "typeof", which not every version of nftables tells alike
        types = list(shapes()[described["name"]].key)
    for item in described.get("elem", ()):
        key, value = item if "map" in described else (item, None)
        yield Element(described["name"], _key(key, types), "" if value is None else _text(value))


def _key(expression: Any, types: list[str]) -> str:
    parts = expression["concat"] if isinstance(expression, dict) and "concat" in expression else [expression]
    texts = (name(part) if kind == INTERFACE_TYPE else _text(part) for part, kind in zip(parts, types, strict=True))
    return " . ".join(texts)


def _text(expression: Any) -> str:
    match expression:
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"range": [first, last]}:
            return f"{first}-{last}"
        case {"concat": parts}:
            return " . ".join(_text(part) for part in parts)
        case {"goto": {"target": chain}}:
            return f"goto {chain}"
        case {"accept": None}:
            return "accept"
    return str(expression)
