"""hawse decodes JSON into Go's types. The expected texts are those of dockerd 26.1.5 for the same bodies."""

from __future__ import annotations

import json

import pytest

from api.docker.request_types import CONTAINER_CREATE, EXEC_CREATE, NETWORK_CONNECT, NETWORK_CREATE
from engine.golang.json_text import decode
from engine.golang.json_types import Mismatch


def read(struct, body):
    return struct.document(decode(body if isinstance(body, bytes) else json.dumps(body).encode()))


def test_keys_in_any_case_null_and_repeated_keys_count_as_in_go():
    assert read(NETWORK_CREATE, {"NAME": "a", "unknown": 1, "\u017fcope": "x"}) == {"Name": "a", "Scope": "x"}
    assert read(NETWORK_CREATE, b'{"Name":"a","name":"b","NAME":null}') == {"Name": "b"}
    assert read(NETWORK_CREATE, b'{"IPAM":{"Driver":"d"},"ipam":{"Options":{}}}') == {
        "IPAM": {"Driver": "d", "Options": {}}
    }
    assert read(NETWORK_CREATE, b'{"IPAM":{"Config":[{"Gateway":"g"}],"Config":[{"Subnet":"s"}]}}') == {
        "IPAM": {"Config": [{"Gateway": "g", "Subnet": "s"}]}
    }
    assert read(NETWORK_CREATE, b"null") == {}
    assert read(CONTAINER_CREATE, {"Cmd": None, "Env": [None], "Entrypoint": "sh"}) == {
        "Cmd": None, "Env": [""], "Entrypoint": ["sh"]
    }  # fmt: skip
    assert read(EXEC_CREATE, {"ConsoleSize": [1, None, "ignored"]}) == {"ConsoleSize": [1, 0]}
    assert read(EXEC_CREATE, {"ConsoleSize": [30]}) == {"ConsoleSize": [30, 0]}
    assert read(EXEC_CREATE, {"ConsoleSize": []}) == {"ConsoleSize": [0, 0]}


@pytest.mark.parametrize(
    ("struct", "body", "json_kind", "where", "go_type"),
    [
        (NETWORK_CREATE, [], "array", "value", "types.NetworkCreateRequest"),
        (NETWORK_CREATE, {"Name": 5}, "number", "struct field NetworkCreateRequest.Name", "string"),
        (NETWORK_CREATE, {"IPAM": {"Config": [{"Subnet": 5}]}}, "number",
         "struct field IPAMConfig.NetworkCreate.IPAM.Config.Subnet", "string"),
        (CONTAINER_CREATE, {"Cmd": [1]}, "array", "struct field ContainerConfigWrapper.Config.Cmd", "string"),
        (CONTAINER_CREATE, {"StopTimeout": 1.5}, "number 1.5",
         "struct field ContainerConfigWrapper.Config.StopTimeout", "int"),
        (CONTAINER_CREATE, {"Volumes": {"a": 1}}, "number", "struct field ContainerConfigWrapper.Config.Volumes",
         "struct {}"),
        (CONTAINER_CREATE, {"HostConfig": {"Memory": 1 << 63}}, "number 9223372036854775808",
         "struct field HostConfig.HostConfig.Resources.Memory", "int64"),
        (CONTAINER_CREATE, {"HostConfig": {"BlkioWeight": -1}}, "number -1",
         "struct field HostConfig.HostConfig.Resources.BlkioWeight", "uint16"),
        (CONTAINER_CREATE, {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": 80}]}}}, "number",
         "struct field PortBinding.HostConfig.PortBindings.HostPort", "string"),
        (CONTAINER_CREATE, {"HostConfig": {"NetworkMode": True}}, "bool",
         "struct field HostConfig.HostConfig.NetworkMode", "container.NetworkMode"),
        (CONTAINER_CREATE, {"NetworkingConfig": {"EndpointsConfig": {"n1": "x"}}}, "string",
         "struct field NetworkingConfig.NetworkingConfig.EndpointsConfig", "network.EndpointSettings"),
        (NETWORK_CONNECT, {"EndpointConfig": True}, "bool", "struct field NetworkConnect.EndpointConfig",
         "network.EndpointSettings"),
        (EXEC_CREATE, {"ConsoleSize": {}}, "object", "struct field ExecConfig.ConsoleSize", "[2]uint"),
        (CONTAINER_CREATE, b'{"HostConfig":{"Binds":[1]},"Image":2}', "number",
         "struct field HostConfig.HostConfig.Binds", "string"),
        (CONTAINER_CREATE, b'{"Image":2,"HostConfig":{"Binds":[1]}}', "number",
         "struct field ContainerConfigWrapper.Config.Image", "string"),
    ],
)  # fmt: skip
def test_the_first_wrong_type_is_named_as_go_does(struct, body, json_kind, where, go_type):
    with pytest.raises(Mismatch) as refused:
        read(struct, body)
    assert str(refused.value) == f"json: cannot unmarshal {json_kind} into Go {where} of type {go_type}"
