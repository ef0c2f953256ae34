"""Legacy links (``--link``) give the environment variables and values that dockerd gives."""

from __future__ import annotations

from engine.containers.process_spec import link_variables
from engine.model import ContainerConfig, ContainerRecord, HostConfig


def variables(*exposed, env=None, alias="x"):
    config = ContainerConfig(image="bb", env=env, exposed_ports=list(exposed))
    target = ContainerRecord(id="i" * 64, name="db", created="", config=config, host=HostConfig())
    return dict(pair.split("=", 1) for pair in link_variables("web", alias, "172.17.0.2", target))


def test_without_ports_only_the_name_is_set():
    assert variables() == {"X_NAME": "/web/x"}


def test_one_port_sets_its_address_number_and_protocol():
    assert variables("5432/tcp", alias="data-base") == {
        "DATA_BASE_NAME": "/web/data-base",
        "DATA_BASE_PORT": "tcp://172.17.0.2:5432",
        "DATA_BASE_PORT_5432_TCP": "tcp://172.17.0.2:5432",
        "DATA_BASE_PORT_5432_TCP_ADDR": "172.17.0.2",
        "DATA_BASE_PORT_5432_TCP_PORT": "5432",
        "DATA_BASE_PORT_5432_TCP_PROTO": "tcp",
    }


def test_the_lowest_port_is_the_main_one_and_tcp_comes_before_udp():
    assert variables("80/udp", "80/tcp", "443/tcp")["X_PORT"] == "tcp://172.17.0.2:80"
    assert variables("80/tcp", "53/udp")["X_PORT"] == "udp://172.17.0.2:53"


def test_three_ports_in_a_row_are_a_range_and_two_are_none():
    environment = variables("80/tcp", "81/tcp", "82/tcp", "443/tcp", "444/tcp")
    assert {name: value for name, value in environment.items() if "_START" in name or "_END" in name} == {
        "X_PORT_80_TCP_START": "tcp://172.17.0.2:80",
        "X_PORT_80_TCP_PORT_START": "80",
        "X_PORT_80_TCP_END": "tcp://172.17.0.2:82",
        "X_PORT_80_TCP_PORT_END": "82",
    }


def test_variables_of_the_target_are_passed_except_path_home_and_bare_names():
    environment = variables(env=["SECRET=4=2", "EMPTY=", "ALONE", "PATH=/x", "HOME=/y"])
    assert environment == {"X_NAME": "/web/x", "X_ENV_SECRET": "4=2", "X_ENV_EMPTY": ""}
