"""Checks of logging drivers and their options; the error texts are those of Docker 26.1.5."""

from __future__ import annotations

import pytest

from engine.errors import InvalidArgument
from engine.validate.logging import Rotation, check_options, choose_driver, default_options, rotation

LIMIT = 100_000_000


@pytest.mark.parametrize(
    ("requested", "default", "expected"),
    [
        (("", {}), ("json-file", {}), ("json-file", {})),
        (("", {}), ("json-file", {"max-size": "5m"}), ("json-file", {"max-size": "5m"})),
        (("", {"max-file": "9"}), ("json-file", {"max-size": "5m", "max-file": "3"}),
         ("json-file", {"max-size": "5m", "max-file": "9"})),
        (("json-file", {}), ("json-file", {"max-size": "5m"}), ("json-file", {"max-size": "5m"})),
        (("none", {}), ("json-file", {"max-size": "5m"}), ("none", {})),
        (("local", {"max-size": "1m"}), ("json-file", {"max-file": "2"}), ("local", {"max-size": "1m"})),
        (("", {}), ("none", {}), ("none", {})),
        (("", {}), ("syslog", {"syslog-address": "x"}), ("json-file", {})),
        (("", {"max-size": "1m"}), ("syslog", {"syslog-address": "x"}), ("json-file", {"max-size": "1m"})),
        (("fluentd", {"fluentd-address": "x"}), ("local", {"max-size": "1m"}), ("json-file", {})),
    ],
)  # fmt: skip
def test_defaults_replace_a_missing_driver_and_missing_options(requested, default, expected):
    assert choose_driver(*requested, *default) == expected


@pytest.mark.parametrize(
    ("driver", "options", "text"),
    [
        ("foo", {}, 'error looking up logging plugin foo: plugin "foo" not found'),
        ("JSON-file", {"a": "b"}, 'error looking up logging plugin JSON-file: plugin "JSON-file" not found'),
        ("foo", {"mode": "x"}, "logger: logging mode not supported: x"),
        ("json-file", {"foo": "1", "bar": "2", "mode": "x"}, "logger: logging mode not supported: x"),
        ("json-file", {"foo": "1", "max-size": "x"}, "unknown log opt 'foo' for json-file log driver"),
        ("json-file", {"": "v"}, "unknown log opt '' for json-file log driver"),
        ("local", {"labels": "x"}, "unknown log opt 'labels' for log driver local"),
        ("json-file", {"max-buffer-size": "1m"},
         "logger: max-buffer-size option is only supported with 'mode=non-blocking'"),
        ("json-file", {"max-buffer-size": "x", "mode": "non-blocking"},
         "error parsing option max-buffer-size: invalid size: 'x'"),
    ],
)  # fmt: skip
def test_log_options_that_create_refuses(driver, options, text):
    with pytest.raises(InvalidArgument) as refusal:
        check_options(driver, options)
    assert str(refusal.value) == text


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("none", {"a": "b"}),
        ("json-file", dict.fromkeys(("max-size", "max-file", "compress", "labels", "env", "tag"), "x")),
        ("json-file", {"mode": "", "cache-disabled": "x"}),
        ("local", {"mode": "non-blocking", "max-buffer-size": "1m", "max-size": "x"}),
    ],
)
def test_log_options_that_create_accepts(driver, options):
    check_options(driver, options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max-size": "0"}, "max-size must be a positive number"),
        ({"max-size": "-1"}, "invalid size: '-1'"),
        ({"max-size": ""}, "invalid size: ''"),
        ({"max-size": " 10"}, "invalid size: ' 10'"),
        ({"max-size": "0x10"}, "invalid size: '0x10'"),
        ({"max-size": "1.2.3"}, 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
        ({"max-size": "999999999999999999p"}, "max-size must be a positive number"),
        ({"max-size": "9" * 400}, 'strconv.ParseFloat: parsing "' + "9" * 400 + '": value out of range'),
        ({"max-file": "0"}, "max-file cannot be less than 1"),
        ({"max-file": "-1"}, "max-file cannot be less than 1"),
        ({"max-file": "x"}, 'strconv.Atoi: parsing "x": invalid syntax'),
        ({"max-file": ""}, 'strconv.Atoi: parsing "": invalid syntax'),
        ({"max-file": "99999999999999999999"}, 'strconv.Atoi: parsing "99999999999999999999": value out of range'),
        ({"max-size": "x", "max-file": "y", "compress": "z"}, "invalid size: 'x'"),
        ({"max-size": "1k", "max-file": "y", "compress": "z"}, 'strconv.Atoi: parsing "y": invalid syntax'),
        ({"compress": "x"}, 'strconv.ParseBool: parsing "x": invalid syntax'),
        ({"compress": "", "max-file": "2"}, 'strconv.ParseBool: parsing "": invalid syntax'),
        ({"compress": "true"}, "compress cannot be true when max-file is less than 2 or max-size is not set"),
        ({"compress": "true", "max-size": "1k", "max-file": "1"},
         "compress cannot be true when max-file is less than 2 or max-size is not set"),
        ({"compress": "true", "max-file": "2"},
         "compress cannot be true when max-file is less than 2 or max-size is not set"),
    ],
)  # fmt: skip
def test_log_options_that_start_refuses(options, text):
    with pytest.raises(ValueError) as refusal:
        rotation("", options, LIMIT)
    assert str(refusal.value) == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max-size": "x"}, "invalid value for max-size: x: invalid size: 'x'"),
        ({"max-file": "x"}, 'invalid value for max-file: x: strconv.Atoi: parsing "x": invalid syntax'),
        ({"compress": "x"}, 'error reading compress log option: strconv.ParseBool: parsing "x": invalid syntax'),
        ({"max-file": "0"}, "compression cannot be enabled when max file count is 1"),
        ({"max-file": "1"}, "compression cannot be enabled when max file count is 1"),
    ],
)
def test_log_options_of_the_driver_local_that_start_refuses(options, text):
    with pytest.raises(ValueError) as refusal:
        rotation("local", options, LIMIT)
    assert str(refusal.value) == text


@pytest.mark.parametrize(
    ("driver", "options", "limit", "expected"),
    [
        ("", {}, LIMIT, Rotation(20_000_000, 5)),
        ("json-file", {}, 0, Rotation()),
        ("json-file", {"max-file": "2"}, LIMIT, Rotation(50_000_000, 2)),
        ("json-file", {"max-file": "1"}, LIMIT, Rotation(100_000_000, 1)),
        ("json-file", {"max-file": "1000000000"}, LIMIT, Rotation(1_000_000, 100)),
        ("json-file", {"max-file": "3"}, 0, Rotation(0, 3)),
        ("json-file", {}, 10, Rotation(10, 1)),
        ("json-file", {"max-size": "10k"}, LIMIT, Rotation(10_000, 1)),
        ("json-file", {"max-size": "1.5KiB", "max-file": "+2", "compress": "T"}, LIMIT, Rotation(1500, 2, True)),
        ("local", {}, 0, Rotation(20 << 20, 5, True)),
        ("local", {"max-size": "0", "compress": "false", "max-file": "0"}, LIMIT, Rotation(1, 1)),
    ],
)
def test_the_rotation_of_each_driver_and_its_options(driver, options, limit, expected):
    assert rotation(driver, options, limit) == expected


@pytest.mark.parametrize(
    ("driver", "options", "limit", "expected"),
    [
        ("json-file", {}, LIMIT, {"max-size": "20m", "max-file": "5"}),
        ("json-file", {"max-file": "3"}, LIMIT, {"max-size": "33333333", "max-file": "3"}),
        ("json-file", {"max-size": "5k"}, LIMIT, {"max-size": "5k"}),
        ("json-file", {"max-size": "x"}, LIMIT, {"max-size": "x"}),
        ("json-file", {}, 0, {}),
        ("none", {}, LIMIT, {}),
        ("local", {}, LIMIT, {"max-size": "20971520", "max-file": "5"}),
    ],
)
def test_log_options_that_info_shows(driver, options, limit, expected):
    assert default_options(driver, options, limit) == expected
