"""A container without a name gets a random name that no other container has."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.conftest import Host, new_host

pytestmark = pytest.mark.netns
ONE_NAME = """
from engine import names
names.ADJECTIVES, names.SURNAMES = "only", "one"
from cli.__main__ import main
main()
"""  # a hawse command that knows only one random name


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with new_host(tmp_path_factory.mktemp("names"), ipv6=False) as host:
        yield host


def test_a_random_name_that_is_taken_is_replaced(machine: Host) -> None:
    def create(*flags: str) -> str:
        command = [sys.executable, "-c", ONE_NAME, "create", *flags, "hostfs", "true"]
        return machine.run(*command, env=machine.env(), check=False).stdout.strip()

    first, second = create(), create()
    names = [machine.hawse("inspect", "-f", "{{.Name}}", each).stdout.strip() for each in (first, second)]
    assert names == ["/only_one", f"/{second[:12]}"]
    assert create("--name", "only_one") == ""
