"""Docker puts names and ids of containers and networks into the URL of an API request; hawse accepts the same ones."""

from __future__ import annotations

import pytest

from cli.app import StatusError
from cli.options.image_reference import container_path_segment, path_segment
from engine.errors import NotFound


@pytest.mark.parametrize("typed", ["c1", "/c1", "//c1"])
def test_leading_slashes_vanish(typed):
    assert path_segment(typed) == container_path_segment(typed) == "c1"


def test_nothing_is_a_page_not_found_to_the_daemon_and_a_missing_container_to_the_client():
    with pytest.raises(NotFound, match=r"^page not found$"):
        path_segment("")
    with pytest.raises(StatusError, match=r"^Error: No such container: $"):
        container_path_segment("")
