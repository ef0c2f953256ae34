"""Each change of the firewall rules raises the version number in the name of the set ``ruleset_N``.

By this number, a command or an agent notices that the kernel has the rules of another version. An agent whose version
is lower ends, because it would otherwise restore its own rules.
"""

from hashlib import sha256

from drivers.firewall import encoding, spoof_guard, table

RULES = {"ruleset_14": "ceb1f64679eb510f5351d2294e147f3cd236f1324c0615934e3e84f8c3c5efc0"}
"""The version set of the rules, and the digest of all statements of both tables."""


def statements(name: str) -> str:
    lines = (line.strip() for line in encoding.ruleset(name).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#"))


def test_each_change_of_the_rules_has_a_new_version():
    text = statements(table.TABLE) + statements(spoof_guard.TABLE)
    assert {table.VERSION_SET: sha256(text.encode()).hexdigest()} == RULES, "raise the version, then change the digest"
