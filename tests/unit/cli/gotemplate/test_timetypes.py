"""Go's time.Time in templates."""

import pytest

from cli.docker_types.network_types import NETWORK_RESOURCE
from cli.gotemplate import Template
from cli.gotemplate.decoding import typed
from cli.gotemplate.gotypes import Value


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ("{{json .Created.Location}} {{.Created.Location}}", "{} UTC"),
        ('{{printf "%d" .Created.Location}}', "&{%!d(string=UTC) [] [] %!d(string=) 0 0 0}"),
        ("{{eq .Created.Location .Created.UTC.Location}}", "true"),
    ],
)
def test_a_location_is_printed_as_by_docker(template, output):
    """The expected texts are those of docker 26.1.5."""
    network = Value(NETWORK_RESOURCE, typed(NETWORK_RESOURCE, {"Created": "2026-01-02T03:04:05Z"}))
    assert Template(template).execute(network) == output
