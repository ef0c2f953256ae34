"""The tests check the engine requests, the arguments and the output of the commands on existing containers.

The expected output is that of Docker 26.1.5.
"""

import errno

import pytest

from engine.api import Created
from engine.errors import Conflict, InvalidArgument, NotFound, StartFailure
from engine.model import ExecCreate, LogOptions, PortSpec
from engine.runtime.api import LEFT, LogLine, Stdio
from tests.unit.cli.container.conftest import Session

ID = "c" * 64


def no_such(name: str) -> NotFound:
    return NotFound(f"No such container: {name}")


def answer(name: str, *_, **__):
    return no_such(name) if name.startswith("nosuch") else None


def answers(names, **_):
    return iter([answer(name) for name in names])


@pytest.mark.parametrize("verb", ["stop", "restart", "kill", "rm"])
def test_successes_are_printed_and_errors_come_at_the_end(cli, verb):
    cli.engine.answers["containers"].update(dict.fromkeys(("stop", "restart", "kill"), answer), remove_each=answers)
    result = cli(verb, "nosuch", "c2", "nosuch2")
    assert (result.code, result.out) == (1, "c2\n")
    assert result.err == (
        "Error response from daemon: No such container: nosuch\n"
        "Error response from daemon: No such container: nosuch2\n"
    )


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "kill"])
def test_a_full_disk_below_stdout_does_not_end_the_command_halfway(cli, verb):
    cli.engine.answers["containers"][verb], cli.write_error = answer, errno.ENOSPC
    result = cli(verb, "c1", "c2")
    assert (result.code, result.err) == (1, "write /dev/stdout: no space left on device\n")
    assert [arguments[0] for _, arguments, _ in cli.engine.calls] == ["c1", "c2"]


@pytest.mark.parametrize("verb", ["stop", "restart", "kill"])
def test_a_closed_stdout_does_not_end_the_command_halfway(cli, verb):
    """Docker 26.1.5 stops all containers of ``docker stop c1 c2 c3 | true``; the same is true of ``kill``.

    Docker does not print the errors in this case, because SIGPIPE ends its client.
    """
    cli.engine.answers["containers"][verb], cli.write_error = answer, errno.EPIPE
    result = cli(verb, "c1", "nosuch", "c2")
    assert (result.code, result.err) == (141, "Error response from daemon: No such container: nosuch\n")
    assert [arguments[0] for _, arguments, _ in cli.engine.calls] == ["c1", "nosuch", "c2"]


def test_start_ends_with_the_names_of_the_failed_containers(cli):
    cli.engine.answers["containers"]["start"] = answer
    result = cli("start", "nosuch", "c2", "nosuch2")
    assert (result.code, result.out) == (1, "c2\n")
    assert result.err.endswith("No such container: nosuch2\nError: failed to start containers: nosuch, nosuch2\n")


@pytest.mark.parametrize(
    ("argv", "call"),
    [
        (("stop", "c"), ("stop", ("c", None, ""), {})),
        (("stop", "-t", "0", "-s", "INT", "c"), ("stop", ("c", 0, "INT"), {})),
        (("restart", "-t0", "c"), ("restart", ("c", 0, ""), {})),
        (("kill", "-s", "HUP", "c"), ("kill", ("c", "HUP"), {})),
        (("publish", "-p", "8080:80", "c"), ("publish", ("c", (PortSpec("tcp", 80, "", "8080"),)), {})),
        (("unpublish", "c", "53/UDP"), ("unpublish", ("c", [PortSpec("udp", 53)]), {})),
        (("publish", "c", "8080:80"), ("publish", ("c", (PortSpec("tcp", 80, "", "8080"),)), {})),
        (("unpublish", "c", "8000-8002"), ("unpublish", ("c", [PortSpec("tcp", 8000, port_end=8002)]), {})),
        (("unpublish", "c", "8080:80"), ("unpublish", ("c", [PortSpec("tcp", 80, "", "8080")]), {})),
        (("unpublish", "-p", "8080:80", "c"), ("unpublish", ("c", [PortSpec("tcp", 80, "", "8080")]), {})),
    ],
)
def test_flags_reach_the_engine(cli, argv, call):
    assert cli(*argv).code == 0
    assert cli.engine.call == call


@pytest.mark.parametrize(
    ("argv", "references", "flags"),
    [
        (("rm", "-fv", "/c", "d"), ["c", "d"], {"force": True}),
        (("container", "remove", "c"), ["c"], {"force": False}),
    ],
)
def test_all_containers_are_removed_by_one_call(cli, argv, references, flags):
    cli.engine.answers["containers"]["remove_each"] = answers
    assert cli(*argv).code == 0
    assert cli.engine.call == ("remove_each", (references,), flags)


def test_removal_prints_each_container_in_order_and_an_empty_name_as_an_error(cli):
    cli.engine.answers["containers"]["remove_each"] = answers
    result = cli("rm", "c1", "/", "nosuch", "c2")
    assert (result.code, result.out) == (1, "c1\nc2\n")
    assert result.err == "Container name cannot be empty\nError response from daemon: No such container: nosuch\n"


def test_forced_removal_mentions_a_missing_container(cli):
    cli.engine.answers["containers"]["remove_each"] = answers
    result = cli("rm", "-f", "nosuch", "c1")
    assert (result.code, result.out, result.err) == (
        0,
        "c1\n",
        "Error response from daemon: No such container: nosuch\n",
    )


def test_rename_sends_both_names_and_prints_both_errors(cli):
    cli.engine.answers["containers"]["rename"] = no_such("x")
    assert cli("rename", "x", " y ").err == (
        "Error response from daemon: No such container: x\nError: failed to rename container named x\n"
    )
    assert cli.engine.call == ("rename", ("x", "y"), {})


def test_wait_prints_exit_codes(cli):
    cli.engine.answers["containers"]["wait"] = lambda name: no_such(name) if name == "nosuch" else 137
    result = cli("wait", "c1", "nosuch", "c2")
    assert (result.code, result.out, result.err) == (
        1,
        "137\n137\n",
        "Error response from daemon: No such container: nosuch\n",
    )


def test_prune_asks_and_prints_what_it_removed(cli):
    cli.engine.answers["containers"]["prune"] = ([ID], 1500)
    result = cli("container", "prune", stdin=b"y\n")
    assert result.out == (
        "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] "
        f"Deleted Containers:\n{ID}\n\nTotal reclaimed space: 1.5kB\n"
    )
    assert cli("container", "prune", stdin=b"\n").code == 0
    assert len(cli.engine.calls) == 1


def container(**state) -> dict:
    return {
        "Id": ID,
        "State": {"Running": True, "Restarting": False, **state},
        "Config": {"Tty": False, "OpenStdin": True},
        "HostConfig": {"AutoRemove": False},
    }


def test_start_attached_attaches_before_it_starts_and_returns_the_exit_code(cli):
    cli.engine.answers["containers"].update(inspect=container(), open_attachment=Session(), wait=3)
    assert cli("start", "-ai", "c1").code == 3
    assert [verb for verb, _, _ in cli.engine.calls] == ["inspect", "open_attachment", "start", "wait"]
    assert cli.engine.calls[1] == ("open_attachment", (ID, Stdio()), {"stdin": True})


def test_attach_returns_the_exit_code_and_refuses_a_stopped_container(cli):
    answers = cli.engine.answers["containers"]
    answers.update(inspect=container(), open_attachment=Session(), wait=4)
    assert cli("attach", "--no-stdin", "c1").code == 4
    assert cli.engine.calls[1] == ("open_attachment", (ID, Stdio()), {"stdin": False})
    answers["inspect"] = container(Running=False)
    assert cli("attach", "c1").err == "You cannot attach to a stopped container, start it first\n"


@pytest.mark.parametrize("argv", [("attach", "c1"), ("exec", "c1", "sh")])
def test_typing_the_detach_keys_is_a_failure(cli, argv):
    """``attach`` and ``exec`` fail when the user types the detach keys, as with a real dockerd.

    ``run`` and ``start`` succeed in this case.
    """
    answers = cli.engine.answers["containers"]
    answers.update(inspect=container(), open_attachment=Session(detached=True), exec=LEFT)
    result = cli(*argv)
    assert (result.code, result.out, result.err) == (1, "", "read escape sequence\n")


def test_exec_sends_every_flag_and_returns_the_exit_code(cli, tmp_path):
    (tmp_path / "env").write_text("A=1\n")
    cli.engine.answers["containers"].update(inspect=container(), exec=5)
    argv = ("-i", "-e", "B=2", "--env-file", str(tmp_path / "env"), "-u", "x", "-w", "/srv", "--privileged")
    assert cli("exec", *argv, "c1", "sh", "-c", "x").code == 5
    request = ExecCreate(("sh", "-c", "x"), ["A=1", "B=2"], "x", "/srv", attach_stdin=True, privileged=True)
    assert cli.engine.calls[1] == ("exec", ("c1", request, Stdio()), {})


def test_exec_of_a_missing_command_fails_on_stdout(cli):
    cli.engine.answers["containers"].update(inspect=container(), exec=StartFailure("OCI runtime exec failed: x", 127))
    result = cli("exec", "c1", "x")
    assert (result.code, result.out, result.err) == (126, "OCI runtime exec failed: x\r\n", "")
    result = cli("exec", "-d", "c1", "x")
    assert (result.code, result.out) == (1, "")
    assert result.err == "Error response from daemon: OCI runtime exec failed: x\n"


@pytest.mark.parametrize("argv", [("exec", "-it", "c1", "sh"), ("run", "-it", "hostfs"), ("attach", "c1")])
def test_a_terminal_is_needed_on_stdin(cli, argv):
    document = container()
    document["Config"]["Tty"] = True
    cli.engine.answers["containers"].update(inspect=document, create=Created(ID))
    result = cli(*argv)
    assert (result.code, result.err) == (1, "the input device is not a TTY\n")


def test_logs_go_to_the_streams_they_came_from(cli):
    lines = [LogLine("stdout", "T1", b"one\xff\n"), LogLine("stderr", "T2", b"two\n")]
    cli.engine.answers["containers"].update(inspect=container(), logs=lines)
    result = cli("logs", "-t", "--details", "c1", "--tail", "5", "--since", "1000", "-f")
    assert (result.out, result.err) == ("T1  one\udcff\n", "T2  two\n")
    assert cli.engine.calls[1] == ("logs", ("c1", LogOptions(True, 5, 1000.0)), {})


def test_an_invalid_tail_means_all_lines_and_an_invalid_since_is_refused(cli):
    cli.engine.answers["containers"].update(inspect=container(), logs=[])
    assert cli("logs", "--tail", "foo", "--until", "0", "c1").code == 0
    assert cli.engine.calls[1] == ("logs", ("c1", LogOptions()), {})
    assert cli("logs", "--since", "foo", "c1").err == (
        'invalid value for "since": failed to parse value as time or duration: "foo"\n'
    )


def test_empty_references_never_reach_the_engine(cli):
    for argv in (("exec", "", "x"), ("logs", ""), ("attach", ""), ("start", "-a", "")):
        assert cli(*argv).err == "Error: No such container: \n"
    assert cli.engine.calls == []


def test_inspect_finds_a_network_if_no_container_or_image_matches(cli):
    answers = cli.engine.answers
    answers["containers"]["inspect"] = no_such("net")
    answers["images"]["inspect"] = InvalidArgument("invalid reference format")
    answers["networks"]["inspect"] = {"Name": "net"}
    result = cli("inspect", "-s", "net")
    assert (result.code, result.out) == (0, '[\n    {\n        "Name": "net"\n    }\n]\n')
    assert result.err == "WARNING: --size ignored for network\n"


def test_inspect_of_a_missing_object(cli):
    answers = cli.engine.answers
    answers["containers"]["inspect"] = no_such("x")
    answers["images"]["inspect"] = NotFound("No such image: x:latest")
    answers["networks"]["inspect"] = NotFound("network x not found")
    assert cli("inspect", "x").err == "Error: No such object: x\n"
    assert cli("inspect", "x").out == "[]\n"
    assert cli("inspect", "--type", "network", "x").err == "Error response from daemon: network x not found\n"
    assert cli("inspect", "--type", "volume", "x").err == "Error response from daemon: get x: no such volume\n"


def test_inspect_stops_at_other_errors(cli):
    cli.engine.answers["containers"]["inspect"] = Conflict("Multiple IDs found with provided prefix: a")
    assert cli("inspect", "a").err == "Error response from daemon: Multiple IDs found with provided prefix: a\n"


def test_container_inspect_of_a_missing_container_prints_an_empty_list(cli):
    cli.engine.answers["containers"]["inspect"] = answer
    result = cli("container", "inspect", "nosuch")
    assert (result.out, result.err) == ("[]\n", "Error response from daemon: No such container: nosuch\n")
    assert cli.engine.call == ("inspect", ("nosuch",), {"size": False})
