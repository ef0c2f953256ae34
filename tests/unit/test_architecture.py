"""Every path that docs/architecture.md names exists."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PATHS = re.compile(r"(?:cli|engine|drivers|docs|tests|completions)/[\w./-]*")


def test_every_path_in_the_architecture_exists():
    named = set(PATHS.findall((CHECKOUT / "docs/architecture.md").read_text()))
    assert len(named) > 40
    assert [path for path in sorted(named) if not (CHECKOUT / path).exists()] == []
