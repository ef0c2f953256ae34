"""Flags for sizes, limits, sysctls, restart policies, streams and mounts.

Error texts are those of Docker 26.1.5, except for volumes.
"""

import os

import pytest

from cli.options.limits import cpus, memory_size, restart_policy, stream, swap_size, sysctl, ulimit
from cli.options.mounts import bind, mount
from engine.model import RestartPolicy


@pytest.mark.parametrize(
    ("read", "value", "result"),
    [
        (memory_size, "512m", 512 << 20),
        (memory_size, "1.5 GiB", 3 << 29),
        (swap_size, "-1", -1),
        (cpus, "1.5", 1_500_000_000),
        (cpus, "3/2", 1_500_000_000),
        (cpus, "-2e1", -20_000_000_000),
        (ulimit, "nofile=5", ("nofile", 5, 5)),
        (ulimit, "nofile=5:-1", ("nofile", 5, -1)),
        (sysctl, "net.core.somaxconn=1", "net.core.somaxconn=1"),
        (sysctl, "kernel.shm_rmid_forced=1", "kernel.shm_rmid_forced=1"),
        (restart_policy, "", RestartPolicy()),
        (restart_policy, "on-failure:3", RestartPolicy("on-failure", 3)),
        (stream, "STDIN", "stdin"),
        (bind, "/a:/b:ro", "/a:/b:ro"),
        (bind, "./a:/b", f"{os.getcwd()}/a:/b"),
        (bind, ".:/b", f"{os.getcwd()}:/b"),
        (mount, "type=bind,src=/a,dst=/b,ro", "/a:/b:ro"),
        (mount, "type=bind,source=/a,target=/b,readonly=false", "/a:/b"),
    ],
)
def test_valid_limits_are_read(read, value, result):
    assert read(value) == result


@pytest.mark.parametrize(
    ("read", "value", "text"),
    [
        (memory_size, "1x", "invalid size: '1x'"),
        (memory_size, "1.2.3", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
        (memory_size, "1" * 400, f'strconv.ParseFloat: parsing "{"1" * 400}": value out of range'),
        (cpus, "1/0", "failed to parse 1/0 as a rational number"),
        (cpus, "1e999999999", "failed to parse 1e999999999 as a rational number"),
        (cpus, "1e-1000001", "failed to parse 1e-1000001 as a rational number"),
        (cpus, "x", "failed to parse x as a rational number"),
        (cpus, "0.00000000001", "value is too precise"),
        (ulimit, "nofile", "invalid ulimit argument: nofile"),
        (ulimit, "foo=1", "invalid ulimit type: foo"),
        (ulimit, "nofile=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        (
            ulimit,
            "nofile=1:2:3",
            "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`",
        ),
        (ulimit, "nofile=5:2", "ulimit soft limit must be less than or equal to hard limit: 5 > 2"),
        (sysctl, "foo=1", "sysctl 'foo=1' is not allowed"),
        (sysctl, "net.x", "sysctl 'net.x' is not allowed"),
        (restart_policy, ":3", "invalid restart policy format: no policy provided before colon"),
        (restart_policy, "a:x", "invalid restart policy format: maximum retry count must be an integer"),
        (stream, "foo", "valid streams are STDIN, STDOUT and STDERR"),
        (bind, "", "invalid empty volume spec"),
        (bind, ":/x", "invalid spec: :/x: empty section between colons"),
        (mount, "foo", "invalid field 'foo' must be a key=value pair"),
        (mount, "type=bind", "target is required"),
        (mount, "type=bind,foo=/x", "unexpected key 'foo' in 'foo=/x'"),
        (mount, "type=bind,readonly=x", "invalid value for readonly: x"),
    ],
)
def test_bad_values_have_dockers_text(read, value, text):
    with pytest.raises(ValueError) as caught:
        read(value)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("read", "value"), [(bind, "data:/b"), (bind, "/b"), (mount, "type=volume,source=v,target=/b")]
)
def test_volumes_are_refused(read, value):
    with pytest.raises(ValueError, match=r"only bind mounts|use type=bind"):
        read(value)
