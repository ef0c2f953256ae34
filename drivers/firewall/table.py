"""The table ``inet hawse``: changes of its elements, and what is noted among its rules.

Every change is one transaction, and installs the rules first where they are missing (first use, or another program
flushed the ruleset). What other commands had put into a flushed table comes back by `repair`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drivers.api import Difference, Settings
from drivers.firewall import batch, comparison, nft, rules
from drivers.firewall.comparison import MARKS, Contents, install_script, script
from drivers.firewall.elements import Element
from drivers.firewall.encoding import MAIN

TABLE = MAIN
VERSION_SET = "ruleset_5"
MARKED = "marked"  # the chain that lets in packets with a firewall mark
WHOLE, GUARDED = f"whole, as of {VERSION_SET}", "spoof guard"


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
            nft.run(install_script() + script(TABLE, added, removed))


def compare(contents: Contents, marks: Sequence[str] = (WHOLE,)) -> list[Difference]:
    """Tell how the table differs from what it is to hold and to have noted; changes nothing."""
    found = comparison.compare(TABLE, contents)
    if any(d.detail == comparison.FRAME for d in found):
        return found
    there = noted()
    # Because a note can only go with all rules, those are written again where one tells of other settings.
    outdated = sorted(note for note in there if note.startswith(WHOLE) and note not in marks)
    return [
        *found,
        *(Difference("upkeep", TABLE, f"the note: {note}", detail=comparison.RULES) for note in outdated),
        *(Difference("upkeep", TABLE, f"the note: {note}", detail=note) for note in marks if note not in there),
    ]


def repair(contents: Contents, found: Sequence[Difference], marks: Sequence[str] = (WHOLE,)) -> None:
    """Put right what `compare` found, touching only what differs; live connections go on."""
    if found:
        comparison.repair(TABLE, contents, found, "".join(map(_marking, marks)))
        there = noted()
        for lacking in (note for note in marks if note not in there):
            mark(lacking)


def whole(settings: Settings) -> str:
    """What is noted when everything is there. It tells the settings, so that new ones call for a repair."""
    direct = ", direct routing" if settings.direct_routing else ""
    return WHOLE + direct + (f", mark {settings.accept_mark}" if settings.accept_mark else "")


def mark(what: str) -> None:
    """Note ``what`` among the rules, unless there are none yet."""
    try:
        nft.run(_marking(what))
    except nft.Refused as error:
        if not error.nothing_there:
            raise


def accept_mark(given: str) -> None:
    """Let in packets with this firewall mark ("mark" or "mark/mask") and no other; idempotent."""
    nft.run(f"flush chain {TABLE} {MARKED}\n{accepting(given)}")


def noted() -> set[str]:
    """What is noted among the rules: `WHOLE` if the table has not been installed again since the last `repair`."""
    return set(filter(None, rules.comments(TABLE, MARKS)))


def _marking(what: str) -> str:
    return f'add rule {TABLE} {MARKS} return comment "{what}"\n'


def accepting(given: str) -> str:
    """The script of the rule that lets in packets with this firewall mark."""
    mark, _, mask = given.partition("/")
    matching = f"meta mark and {mask} == {mark}" if mask else f"meta mark {mark}"
    return f"add rule {TABLE} {MARKED} iifname != @internal oifname != @internal {matching} accept\n"


def remove_all() -> None:
    """Remove the table; idempotent."""
    nft.run(f"destroy table {TABLE}")


def elements(set_name: str = "") -> list[Element]:
    """The elements the kernel has, of one set or map or of all; none where there is no table."""
    return comparison.held(TABLE, [set_name] if set_name else ())
