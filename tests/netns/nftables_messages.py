"""Changes of nftables tables by netlink messages, for names and sets that the program nft refuses to make."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.firewall import transaction
from drivers.linux.attributes import attribute
from drivers.linux.netlink import Message
from drivers.linux.nfnetlink import FAMILIES, NFGENMSG, open_session

NEW_TABLE, DELETE_TABLE, NEW_CHAIN, NEW_SET = (transaction.NFTABLES << 8 | number for number in (0, 2, 3, 9))
"""Netlink message types (kernel constants NFT_MSG_*)."""


def change_tables(*messages: tuple[int, Mapping[int, bytes]]) -> None:
    """Change tables of the family ip in one transaction, in the calling thread's network namespace.

    Each message consists of its type and its attributes.
    """
    beginning = NFGENMSG.pack(FAMILIES["ip"], 0, 0)
    made = [
        Message(kind, transaction.CREATE, beginning + b"".join(attribute(*each) for each in attributes.items()))
        for kind, attributes in messages
    ]
    with open_session() as session:
        session.request_all(transaction._transaction(made))
