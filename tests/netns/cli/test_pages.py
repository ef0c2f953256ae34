"""Each command of the README, the tutorial and the troubleshooting page runs, with the output that the page shows."""

from __future__ import annotations

import os

import pytest

from tests.conftest import CHECKOUT
from tests.pages import constant, session, steps

pytestmark = pytest.mark.netns


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md", "docs/troubleshooting.md"])
def test_every_command_prints_what_the_page_says(host, tmp_path, name):
    text = (CHECKOUT / name).read_text()
    page = steps(text.replace("lab1", f"hwt{os.getpid()}lab"))  # a name that no other test uses
    outputs = session(host, [command for command, _ in page], tmp_path / "bin")
    shown = "".join(f"# {command}\n{constant(output)}" for (command, _), output in zip(page, outputs, strict=True))
    assert shown == "".join(f"# {command}\n{constant(output)}" for command, output in page)
