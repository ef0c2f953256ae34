"""The table ``inet hawse``: change its set elements, and record settings in rule comments.

Every change is one transaction. If the rules are missing, the transaction installs the rules first. They are missing at
first use, and after another program has flushed the ruleset. A flush also removes the elements that other commands had
added. `repair` restores these elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drivers.firewall import table_repair, transaction
from drivers.firewall.elements import Element
from drivers.firewall.encoding import MAIN
from drivers.firewall.table_repair import MARKS, Contents, install_script, script
from drivers.linux import libnftables, nfnetlink
from drivers.model import Difference, Settings

TABLE = MAIN
VERSION_SET = "ruleset_14"  # an empty set; a transaction that names it fails if the rules have another version
MARKED = "marked"  # name of the chain that accepts packets with a firewall mark
COMPLETE, SPOOF_GUARDED = f"whole, as of {VERSION_SET}", "spoof guard"


def change(add: Iterable[Element] = (), remove: Iterable[Element] = ()) -> None:
    """Add and remove set elements of the table ``inet hawse`` in one transaction; idempotent.

    A map element with the same key and another value is replaced.
    """
    added, removed = list(dict.fromkeys(add)), list(dict.fromkeys(remove))
    if not added and not removed:
        return
    try:
        transaction.change(TABLE, added, [Element(VERSION_SET, "0"), *removed])
    except libnftables.Refused as error:
        if error.taken:
            # The key of a map element exists with another value, so remove each map element before adding it. The first
            # attempt omits this removal, because the removal is slow in a large map.
            transaction.change(TABLE, added, [*removed, *(e for e in added if e.value)])
        elif not error.nothing_there:
            raise
        elif added:
            # If the table is of another version, the script keeps its elements. Remove each map element before adding
            # it, because the table may have the same key with another value.
            libnftables.run(install_script() + script(TABLE, added, [*removed, *(e for e in added if e.value)]))


def compare(contents: Contents, marks: Sequence[str] = (COMPLETE,)) -> list[Difference]:
    """Return how the table ``inet hawse`` differs from its required contents and rule comments; changes nothing.

    ``marks`` are the rule comments that the table must contain.
    """
    differences = table_repair.compare(TABLE, contents)
    if any(d.detail == table_repair.FRAME for d in differences):
        return differences
    there = read_state()
    # If a rule's comment records outdated settings, rewrite all rules, because nft cannot remove a single comment.
    outdated = sorted(note for note in there if note.startswith(COMPLETE) and note not in marks)
    return [
        *differences,
        *(Difference("upkeep", TABLE, f"the note: {note}", detail=table_repair.RULES) for note in outdated),
        *(Difference("upkeep", TABLE, f"the note: {note}", detail=note) for note in marks if note not in there),
    ]


def repair(contents: Contents, differences: Sequence[Difference], marks: Sequence[str] = (COMPLETE,)) -> None:
    """Repair the ``differences`` that `compare` found in the table ``inet hawse``; live connections continue.

    ``marks`` are the rule comments that the table must contain. If a chain or set is wrong, the whole table is deleted
    and created again.
    """
    if differences:
        table_repair.repair(TABLE, contents, differences, "".join(map(_marking, marks)))
        there = read_state()
        for lacking in (note for note in marks if note not in there):
            record_state(lacking)


def whole(settings: Settings) -> str:
    """Return the rule comment that marks the table ``inet hawse`` as complete.

    The comment contains the settings. After a change of settings, `compare` therefore reports a difference.
    """
    direct = ", direct routing" if settings.direct_routing else ""
    return COMPLETE + direct + (f", mark {settings.accept_mark}" if settings.accept_mark else "")


def record_state(what: str) -> None:
    """Record a setting or state in the table ``inet hawse``: add a rule with the comment ``what``.

    If the table does not exist, nothing is added.
    """
    try:
        libnftables.run(_marking(what))
    except libnftables.Refused as error:
        if not error.nothing_there:
            raise


def accept_mark(value: str) -> None:
    """Accept packets with the firewall mark ``value``, in place of an earlier mark; idempotent.

    ``value`` is "mark" or "mark/mask", such as "0x1/0xff". Raises `libnftables.Refused` if the table does not exist.
    """
    libnftables.run(f"flush chain {TABLE} {MARKED}\n{accepting(value)}")


def read_state() -> set[str]:
    """Return the rule comments in the table ``inet hawse`` that record its state and settings.

    If the table was lost or recreated since the last `repair`, no comment begins with `COMPLETE`.
    """
    return set(filter(None, nfnetlink.comments(TABLE, MARKS)))


def _marking(what: str) -> str:
    return f'add rule {TABLE} {MARKS} return comment "{what}"\n'


def accepting(value: str) -> str:
    """Return the nftables script for the rule that accepts packets with the firewall mark ``value``.

    ``value`` is "mark" or "mark/mask", such as "0x1/0xff".
    """
    mark, _, mask = value.partition("/")
    matching = f"meta mark and {mask} == {mark}" if mask else f"meta mark {mark}"
    return f"add rule {TABLE} {MARKED} iifname != @internal oifname != @internal {matching} accept\n"


def remove_all() -> None:
    """Remove the table ``inet hawse``; idempotent."""
    libnftables.run(f"destroy table {TABLE}")


def elements(*sets: str) -> list[Element]:
    """Return the elements that the kernel has in the named sets and maps of the table ``inet hawse``.

    Without names, the elements of all sets and maps are returned. The result is empty if the table does not exist.
    """
    return table_repair.held(TABLE, sets)
