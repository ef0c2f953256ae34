"""hawse treats leading slashes and empty names as Docker does.

Docker's client puts names and ids into the URL of its request. Leading slashes of a name therefore have no effect, and
an empty name gives a special error.
"""

from __future__ import annotations

import pytest

from cli.app import StatusError
from cli.options.image_reference import container_path_segment, path_segment
from engine.errors import NotFound


@pytest.mark.parametrize("typed", ["c1", "/c1", "//c1"])
def test_leading_slashes_are_removed(typed):
    assert path_segment(typed) == container_path_segment(typed) == "c1"


def test_an_empty_name_gives_the_errors_of_dockers_daemon_and_client():
    with pytest.raises(NotFound, match=r"^page not found$"):
        path_segment("")
    with pytest.raises(StatusError, match=r"^Error: No such container: $"):
        container_path_segment("")
