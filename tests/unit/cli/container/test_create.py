"""The tests check which engine request the flags of ``create`` produce, and which messages the command prints."""

import json
from pathlib import Path

import pytest

from engine.api import Created
from engine.errors import Conflict, NotFound
from engine.model import (
    ContainerConfig,
    ContainerCreate,
    EndpointIPAM,
    EndpointSettings,
    HostConfig,
    PortSpec,
    RestartPolicy,
)

ID = "c" * 64


@pytest.fixture
def create(cli):
    cli.engine.answers["containers"]["create"] = Created(ID)

    def run(*argv: str) -> ContainerCreate:
        result = cli("create", *argv)
        assert (result.code, result.out, result.err) == (0, ID + "\n", "")
        verb, (request,), _ = cli.engine.call
        assert verb == "create"
        return request

    return run


def test_without_flags_the_request_has_the_defaults(create):
    assert create("hostfs") == ContainerCreate(
        config=ContainerConfig("hostfs", attach_stdout=True, attach_stderr=True),
        networks={"default": EndpointSettings()},
    )


def test_flags_end_at_the_image(create):
    request = create("--name", "web", "hostfs", "ls", "-l", "--rm")
    assert (request.name, request.config.cmd, request.host.auto_remove) == ("web", ("ls", "-l", "--rm"), False)


def test_a_mount_is_a_bind_whose_source_must_exist(create):
    request = create("-v", "/a:/b", "--mount", "type=bind,src=/c,dst=/d,ro", "hostfs")
    assert (list(request.host.binds), list(request.mounts)) == (["/a:/b", "/c:/d:ro"], ["/c:/d:ro"])


def test_the_propagation_of_a_mount_is_kept(create):
    request = create("--mount", "type=bind,src=/c,dst=/d,ro,bind-propagation=rslave", "hostfs")
    assert (list(request.host.binds), list(request.mounts)) == (["/c:/d:ro,rslave"], ["/c:/d:ro,rslave"])
    (entry,) = request.host.mounts
    assert json.loads(entry) == {
        "Type": "bind", "Source": "/c", "Target": "/d", "ReadOnly": True, "BindOptions": {"Propagation": "rslave"}
    }  # fmt: skip


def test_network_flags_reach_the_request(create):
    request = create(
        *("--network", "app", "--ip", "10.0.0.9", "--network-alias", "a", "--net-alias", "b", "--link", "db:d"),
        *("-p", "8080:80", "--expose", "53/udp", "-P", "--dns", "1.1.1.1", "--dns-opt", "x", "--dns-option", "y"),
        *("--dns-search", "a.test", "--add-host", "h=1.2.3.4", "-h", "host", "--domainname", "dom"),
        *("--mac-address", "02:00:00:00:00:01", "--sysctl", "net.a=1", "hostfs"),
    )
    assert request.networks == {
        "app": EndpointSettings(
            EndpointIPAM("10.0.0.9"), links=("db:d",), aliases=("a", "b"), mac_address="02:00:00:00:00:01"
        )
    }
    assert request.host == HostConfig(
        network_mode="app", port_bindings=(PortSpec("tcp", 80, "", "8080"),), publish_all_ports=True,
        dns=("1.1.1.1",), dns_options=("x", "y"), dns_search=("a.test",), extra_hosts=("h:1.2.3.4",),
        links=("db:d",), sysctls={"net.a": "1"},
    )  # fmt: skip
    config = request.config
    assert (config.hostname, config.domainname, config.mac_address) == ("host", "dom", "")
    assert config.exposed_ports == ("80/tcp", "53/udp")


def test_process_flags_reach_the_request(cli, create, tmp_path):
    cli.environ["FROM_OUTSIDE"] = "yes"
    env, labels = tmp_path / "env", tmp_path / "labels"
    env.write_text("A=1\nFROM_OUTSIDE\n")
    labels.write_text("x=1\n")
    request = create(
        *("-it", "-e", "B", "-e", "FROM_OUTSIDE", "--env-file", str(env), "--label-file", str(labels), "-l", "y"),
        *("-w", "/srv", "-u", "1000:100", "--entrypoint", "", "-v", "/a:/b:ro", "--mount", "type=bind,src=/c,dst=/d"),
        *("--stop-signal", "INT", "--stop-timeout", "0", "--restart", "on-failure:3", "--read-only", "--init"),
        *("--cap-add", "NET_ADMIN", "--cap-drop", "ALL", "--privileged", "--pid", "host", "hostfs", "sh"),
    )
    assert request.config == ContainerConfig(
        "hostfs", ("sh",), ("",), user="1000:100", attach_stdin=True, attach_stdout=True, attach_stderr=True, tty=True,
        open_stdin=True, stdin_once=True, env=("A=1", "FROM_OUTSIDE=yes", "B", "FROM_OUTSIDE=yes"),
        working_dir="/srv", labels={"x": "1", "y": ""}, stop_signal="INT", stop_timeout=0,
    )  # fmt: skip
    assert request.host == HostConfig(
        binds=("/a:/b:ro", "/c:/d"),
        mounts=('{"Type": "bind", "Source": "/c", "Target": "/d"}',),
        restart_policy=RestartPolicy("on-failure", 3), cap_add=("NET_ADMIN",),
        cap_drop=("ALL",), pid_mode="host", privileged=True, readonly_rootfs=True, init=True,
    )  # fmt: skip


def test_attach_flags_select_the_streams(create):
    config = create("-a", "stderr", "hostfs").config
    assert (config.attach_stdin, config.attach_stdout, config.attach_stderr) == (False, False, True)


def test_an_engine_error_is_one_line_without_a_hint(cli):
    cli.engine.answers["containers"]["create"] = Conflict("name taken")
    result = cli("create", "hostfs")
    assert (result.code, result.out, result.err) == (1, "", "Error response from daemon: name taken\n")


def test_a_missing_image_is_mentioned_unless_quiet_or_never_pulled(cli):
    cli.engine.answers["containers"]["create"] = NotFound("No such image: web:latest")
    error = "Error response from daemon: No such image: web:latest\n"
    assert cli("create", "web").err == f"Unable to find image 'web:latest' locally\n{error}"
    assert cli("create", "-q", "web").err == error
    assert cli("create", "--pull", "never", "web").err == error


def test_the_last_value_of_a_log_option_counts(create):
    host = create("--log-driver", "local", "--log-opt", "max-size=1m", "--log-opt", "max-size=2m", "hostfs").host
    assert (host.log_driver, host.log_options) == ("local", {"max-size": "2m"})


@pytest.mark.parametrize(
    ("flags", "ignored"),
    [
        (("--log-driver", "syslog"), "--log-driver"),
        (("--log-driver", "syslog", "--log-opt", "a=b"), "--log-driver, --log-opt"),
        (("--log-opt", "tag=x", "--log-opt", "labels=y"), "--log-opt tag, --log-opt labels"),
        (("--log-opt", "max-size=1m", "--log-driver", "json-file"), ""),
        (("--log-opt", "foo=1", "--log-opt", "tag=x"), ""),  # no warning here, because the engine refuses the option
        (("--log-driver", "none"), ""),
    ],
)
def test_log_settings_without_effect_cause_a_warning(cli, flags, ignored):
    cli.engine.answers["containers"]["create"] = Created(ID)
    assert cli("create", *flags, "hostfs").err == (f"WARNING: hawse ignores {ignored}\n" if ignored else "")


def test_create_prints_the_id_and_one_warning_a_line(cli):
    cli.engine.answers["containers"]["create"] = Created(ID, ["Published ports are discarded"])
    result = cli(
        "create", "--dns", "127.0.0.53", "-m", "1g", "--health-cmd", "x", "--log-driver", "json-file", "hostfs"
    )
    assert (result.code, result.out) == (0, ID + "\n")
    assert result.err == (
        "WARNING: hawse ignores --health-cmd, --memory\n"
        "WARNING: Localhost DNS setting (--dns=127.0.0.53) may fail in containers.\n"
        "WARNING: Published ports are discarded\n"
    )


@pytest.mark.parametrize(
    "flags",
    [
        ("--gpus", "all"),
        ("--device", "/dev/kvm"),
        ("--tmpfs", "/x"),
        ("--volumes-from", "c"),
        ("--group-add", "x"),
        ("--uts", "host"),
        ("--pid", "container:c"),
        ("--security-opt", "apparmor=strict"),
        ("-v", "data:/b"),
    ],
)
def test_flags_that_hawse_cannot_honour_are_refused(cli, flags):
    result = cli("create", *flags, "hostfs")
    assert (result.code, result.out, cli.engine.calls) == (125, "", [])
    assert result.err.startswith("hawse: ")
    assert result.err.endswith(".\nSee 'hawse create --help'.\n")


def test_options_that_ask_for_hawses_own_behaviour_are_accepted(create):
    create("--security-opt", "seccomp=unconfined", "--userns", "host", "--ipc", "private", "hostfs")


def test_the_id_is_written_to_a_file_that_must_not_exist(cli, create, tmp_path):
    file = tmp_path / "id"
    create("--cidfile", str(file), "hostfs")
    assert file.read_text() == ID
    assert cli("create", "--cidfile", str(file), "hostfs").err == (
        f"container ID file found, make sure the other container isn't running or delete {file}\n"
    )


def test_a_directory_and_a_link_are_refused_as_id_files(cli, tmp_path):
    (tmp_path / "dangling").symlink_to("/nosuch/id")
    for path in (f"{tmp_path}", f"{tmp_path}/", f"{tmp_path}/dangling"):
        result = cli("create", "--cidfile", path, "hostfs")
        assert (result.code, cli.engine.calls) == (1, [])
        assert result.err == f"container ID file found, make sure the other container isn't running or delete {path}\n"


def test_no_id_file_is_left_if_no_container_was_created(cli, tmp_path):
    cli.engine.answers["containers"]["create"] = Conflict("no")
    cli("create", "--cidfile", str(tmp_path / "id"), "hostfs")
    assert list(Path(tmp_path).iterdir()) == []
    assert cli("create", "--cidfile", "/nosuch/id", "hostfs").err == (
        "failed to create the container ID file: open /nosuch/id: no such file or directory\n"
    )
    ran = cli("run", "--cidfile", "/nosuch/id", "hostfs")
    assert (ran.code, ran.err.splitlines()[1]) == (127, "See 'hawse run --help'.")


def test_an_invalid_platform_is_the_clients_error(cli):
    failed = 'error parsing specified platform: "x": unknown operating system or architecture: invalid argument'
    assert cli("create", "--platform", "x", "hostfs").err == f"{failed}\n"
    assert cli("run", "--platform", "x", "hostfs").err == f"hawse: {failed}.\nSee 'hawse run --help'.\n"
    cli.environ["DOCKER_DEFAULT_PLATFORM"] = "x"
    assert cli("create", "hostfs").err == f"{failed}\n"
    assert cli.engine.calls == []
