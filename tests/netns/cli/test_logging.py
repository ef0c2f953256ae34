"""Container logs have a size limit by default.

The configuration file daemon.json and flags can change the limit, and ``info`` shows the limit.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FLOOD = "yes 0123456789012345678901234567890123456789 | head -n 100000"


@pytest.fixture
def host(shared_host):
    """One host for all tests."""
    return shared_host


@pytest.fixture
def configured(host):
    """Return a function that writes a daemon.json and returns the environment variable with which hawse reads it."""

    def write(**document: object) -> dict[str, str]:
        path = host.state / "daemon.json"
        path.write_text(json.dumps({key.replace("_", "-"): value for key, value in document.items()}))
        return {"HAWSE_CONFIG": str(path)}

    return write


def log_files(host, name: str, env: dict[str, str]) -> list[int]:
    path = Path(host.hawse("inspect", "-f", "{{.LogPath}}", name, env=env).stdout.strip())
    return [file.stat().st_size for file in path.parent.glob(f"{path.name}*")]


def test_a_log_has_a_size_limit_by_default(host, configured):
    """A container writes 100,000 lines (about 10 MB). The container's log stays within the default limit."""
    env = configured(default_log_limit="5m")
    host.hawse("run", "--name", "c1", "-d", "hostfs", "sh", "-c", FLOOD, env=env)
    host.hawse("wait", "c1", env=env)
    sizes = log_files(host, "c1", env)
    assert len(sizes) == 5
    assert 4_000_000 < sum(sizes) < 5_001_000
    shown = host.hawse("inspect", "-f", "{{json .HostConfig.LogConfig}}", "c1", env=env).stdout
    assert shown == '{"Type":"json-file","Config":{}}\n'
    assert len(host.hawse("logs", "c1", env=env).stdout.splitlines()) > 30_000
    assert (
        " Logging Driver: json-file\n  Default Options: max-file=5 max-size=1m\n" in host.hawse("info", env=env).stdout
    )


def test_info_shows_the_configured_driver_and_its_limits(host, configured):
    assert "  Default Options: max-file=5 max-size=20m\n" in host.hawse("info").stdout
    env = configured(default_log_limit="0")
    assert "Default Options" not in host.hawse("info", env=env).stdout
    env = configured(log_driver="local", log_opts={"max-size": "3m"})
    assert " Logging Driver: local\n  Default Options: max-size=3m\n" in host.hawse("info", env=env).stdout
    assert host.hawse("info", "-f", "{{.LoggingDriver}}", env=env).stdout == "local\n"


def test_options_of_the_daemons_file(host, configured):
    env = configured(log_opts={"max-size": "100k", "max-file": "3"})
    host.hawse("run", "--name", "c1", "-d", "--log-opt", "max-file=2", "hostfs", "sh", "-c", FLOOD, env=env)
    host.hawse("wait", "c1", env=env)
    shown = host.hawse("inspect", "-f", "{{json .HostConfig.LogConfig}}", "c1", env=env).stdout
    assert json.loads(shown) == {"Type": "json-file", "Config": {"max-file": "2", "max-size": "100k"}}
    assert len(log_files(host, "c1", env)) == 2
    env = configured(log_driver="none")
    assert host.hawse("run", "--name", "c2", "hostfs", "echo", "hi", env=env).stdout == "hi\n"
    refused = host.hawse("logs", "c2", env=env, check=False)
    assert refused.stderr == "Error response from daemon: configured logging driver does not support reading\n"


def test_ignored_options_are_reported(host):
    result = host.hawse(
        "run", "--log-driver", "syslog", "--log-opt", "syslog-address=x", "--name", "c1", "hostfs", "echo", "hi"
    )
    assert (result.stdout, result.stderr) == ("hi\n", "WARNING: hawse ignores --log-driver, --log-opt\n")
    assert host.hawse("logs", "c1").stdout == "hi\n"
    result = host.hawse("run", "--log-opt", "tag=x", "--log-opt", "max-size=1m", "--rm", "hostfs", "true")
    assert result.stderr == "WARNING: hawse ignores --log-opt tag\n"


def test_removal_takes_all_files_of_a_log(host):
    host.hawse("run", "--name", "c1", "--log-opt", "max-size=10k", "--log-opt", "max-file=3", "hostfs", "seq", "3000")
    directory = Path(host.hawse("inspect", "-f", "{{.LogPath}}", "c1").stdout.strip()).parent
    assert len(list(directory.glob("*json.log*"))) == 3
    host.hawse("rm", "c1")
    assert not directory.exists()
