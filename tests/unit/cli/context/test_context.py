"""The commands of ``hawse context``: scripts get Docker's answers for the context ``default``."""

import json

import pytest


@pytest.fixture(autouse=True)
def run_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("HAWSE_RUN", str(tmp_path))
    return tmp_path


def test_show_and_use_name_the_only_context(cli):
    assert cli("context", "show").out == "default\n"
    used = cli("context", "use", "default")
    assert (used.code, used.out, used.err) == (0, "default\n", 'Current context is now "default"\n')


def test_the_endpoint_is_the_socket_of_the_api(cli, run_directory):
    result = cli("context", "inspect", "-f", "{{.Endpoints.docker.Host}}")
    assert (result.code, result.out) == (0, f"unix://{run_directory}/docker.sock\n")
    (document,) = json.loads(cli("context", "inspect", "default").out)
    assert document["Endpoints"] == {"docker": {"Host": f"unix://{run_directory}/docker.sock", "SkipTLSVerify": False}}


def test_the_list_has_one_row(cli, run_directory):
    assert cli("context", "ls", "-q").out == "default\n"
    endpoint = f"unix://{run_directory}/docker.sock"
    title, row = cli("context", "ls").out.splitlines()
    assert title.split() == ["NAME", "DESCRIPTION", "DOCKER", "ENDPOINT", "ERROR"]
    assert row.split() == ["default", "*", "Current", "DOCKER_HOST", "based", "configuration", endpoint]
    keys = ["Name", "Description", "DockerEndpoint", "Current", "Error", "ContextType"]
    assert list(json.loads(cli("context", "ls", "--format", "json").out)) == keys


def test_docker_host_is_the_endpoint_and_gives_a_warning(cli):
    cli.environ["DOCKER_HOST"] = "unix:///x"
    for flags, endpoint in (((), "unix:///x"), (("-H", "unix:///y"), "unix:///y")):  # as seen with docker 26.1.5
        listed = cli(*flags, "context", "ls", "--format", "{{.DockerEndpoint}}")
        assert listed.out == f"{endpoint}\n"
        assert listed.err.startswith("Warning: DOCKER_HOST environment variable overrides the active context.")


@pytest.mark.parametrize("argv", [("use", "nosuch"), ("inspect", "nosuch")])
def test_another_context_is_not_found(cli, argv):
    result = cli("context", *argv)
    assert result.code == 1
    assert result.err.startswith('context "nosuch": context not found\n')


def test_use_needs_one_name(cli):
    assert cli("context", "use").err == "accepts 1 arg(s), received 0\n"
    assert cli("context", "use", "a", "b").err == "accepts 1 arg(s), received 2\n"
    assert cli("context", "use", "").err == "context name cannot be empty\n"
