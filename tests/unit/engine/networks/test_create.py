"""The key default-network-opts of daemon.json gives default options for the new networks of a driver."""

from __future__ import annotations

import pytest

from engine.config import Config
from engine.model import NetworkCreate
from engine.networks.create import with_default_options

CONFIG = Config(default_network_opts={"bridge": {"a": "1", "b": "2"}, "overlay": {"c": "3"}})


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {"a": "1", "b": "2"}),
        ({"driver": ""}, {"a": "1", "b": "2"}),
        ({"options": {"b": "", "z": "9"}}, {"a": "1", "b": "", "z": "9"}),
        ({"config_only": True}, {"a": "1", "b": "2"}),
        ({"config_from": "other"}, {}),
        ({"driver": "overlay"}, {"c": "3"}),
        ({"driver": "macvlan", "options": {"z": "9"}}, {"z": "9"}),
    ],
)
def test_an_option_that_is_not_given_has_the_drivers_default(fields, options):
    assert with_default_options(NetworkCreate("app", **fields), CONFIG).options == options
