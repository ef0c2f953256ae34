"""The comments on firewall rules, in nftables' binary format."""

from __future__ import annotations

import pytest

from drivers.linux import libnftables, nfnetlink
from drivers.linux import netns as namespaces

pytestmark = pytest.mark.netns

LONG = "x" * 128  # 128 bytes, the longest comment that nftables accepts
RULES = f"""
table inet t {{
    chain other {{ return comment "of another chain"; }}
    chain c {{
        return comment "one"
        accept
        ip saddr 10.0.0.0/8 drop comment "{LONG}"
    }}
    chain empty {{ }}
}}
table bridge t {{ chain c {{ return comment "of a bridge"; }}; }}
"""


def test_comments_of_one_chain_are_read_in_order(host):
    def on_host():
        libnftables.run(RULES)
        chains = (("inet t", "c"), ("bridge t", "c"), ("inet t", "empty"), ("inet t", "none"), ("inet none", "c"))
        return [nfnetlink.comments(*chain) for chain in chains]

    assert namespaces.run_in_netns(host.path, on_host) == [["one", "", LONG], ["of a bridge"], [], [], []]


def test_a_chain_of_many_rules_is_read_whole(host):
    many = "".join(f'add rule inet t c return comment "{n}"\n' for n in range(3000))

    def on_host():
        libnftables.run("add table inet t\nadd chain inet t c\n" + many)
        return nfnetlink.comments("inet t", "c")

    assert namespaces.run_in_netns(host.path, on_host) == [str(n) for n in range(3000)]
