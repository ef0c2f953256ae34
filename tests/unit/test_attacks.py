"""Every test that docs/attacks.md names exists."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
NAMED = re.compile(r"`((?:tests/[\w/]+\.py)?)((?:::\w+)?)`")


def test_every_test_in_the_attack_table_exists():
    missing, file, count = [], "", 0
    for path, test in NAMED.findall((CHECKOUT / "docs/attacks.md").read_text()):
        file = path or file
        count += bool(path or test)
        source = CHECKOUT / file
        if not source.is_file() or (test and f"def {test.removeprefix('::')}(" not in source.read_text()):
            missing.append(file + test)
    assert missing == []
    assert count > 80
