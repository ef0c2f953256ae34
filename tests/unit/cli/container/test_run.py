"""The command ``run`` in the foreground and in the background.

The tests check the order of engine requests, the output and the exit code.
"""

import errno
import os
import signal

import pytest

from cli.container.signals import SignalProxy
from engine.api import Created
from engine.errors import Conflict, EngineError, InvalidArgument, NotFound, StartFailure
from tests.unit.cli.container.conftest import Session

ID = "c" * 64


@pytest.fixture
def answers(cli):
    answers = cli.engine.answers["containers"]
    answers.update(create=Created(ID), open_attachment=Session(), wait=0)
    return answers


def verbs(cli) -> list[str]:
    return [verb for verb, _, _ in cli.engine.calls]


def test_a_detached_run_prints_the_id_and_attaches_no_stream(cli, answers):
    result = cli("run", "-d", "--rm", "hostfs", "true")
    assert (result.code, result.out, result.err) == (0, ID + "\n", "")
    assert verbs(cli) == ["create", "start"]
    config = cli.engine.calls[0][1][0].config
    assert not (config.attach_stdin or config.attach_stdout or config.attach_stderr)


def test_foreground_attaches_before_the_start_and_returns_the_exit_code(cli, answers):
    answers["wait"] = 7
    result = cli("run", "-i", "hostfs", "false")
    assert (result.code, result.out, result.err) == (7, "", "")
    assert verbs(cli) == ["create", "open_attachment", "start", "wait"]
    assert cli.engine.calls[1][2] == {"stdin": True}
    assert cli.engine.calls[3] == ("wait", (ID,), {"condition": "not-running"})


def test_run_with_rm_waits_for_the_removal(cli, answers):
    cli("run", "--rm", "hostfs", "true")
    assert cli.engine.calls[-1] == ("wait", (ID,), {"condition": "removed"})


def test_the_exit_code_is_known_even_if_the_container_was_already_removed(cli, answers):
    answers.update(open_attachment=Session(exit_code=5), wait=NotFound("No such container: x"))
    assert cli("run", "--rm", "hostfs", "false").code == 5


def test_detaching_does_not_end_the_container(cli, answers):
    answers["open_attachment"] = session = Session(detached=True)
    assert cli("run", "hostfs", "sleep", "9").code == 0
    assert verbs(cli) == ["create", "open_attachment", "start"]
    assert session.closed


def test_only_stdin_attached_prints_the_id_and_does_not_wait(cli, answers):
    result = cli("run", "-a", "stdin", "hostfs", "cat")
    assert (result.code, result.out) == (0, ID + "\n")
    assert verbs(cli) == ["create", "open_attachment", "start"]


def test_a_stream_that_is_not_attached_is_discarded(cli, answers):
    cli("run", "-a", "stderr", "hostfs", "true")
    stdio = cli.engine.calls[1][1][1]
    assert (stdio.stdin, stdio.stderr) == (0, 2)
    assert stdio.stdout > 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Conflict("Conflict. The name is in use."), 125),
        (EngineError("mkdir /x: no such file or directory"), 127),
        (EngineError("open /x: permission denied"), 126),
    ],
)
def test_a_failed_creation_points_to_the_help(cli, answers, error, code):
    answers["create"] = error
    result = cli("run", "-d", "hostfs", "true")
    text = f"{error}".removesuffix(".")
    assert (result.code, result.out) == (code, "")
    assert result.err == f"hawse: Error response from daemon: {text}.\nSee 'hawse run --help'.\n"


@pytest.mark.parametrize("flags", [("-d",), ()])
@pytest.mark.parametrize(
    ("error", "code"),
    [(NotFound("network x not found"), 125), (StartFailure('exec: "x": not there', 127), 127)],
)
def test_a_failed_start_does_not_point_to_the_help_and_a_detached_run_prints_the_id(cli, answers, flags, error, code):
    answers["start"] = error
    result = cli("run", *flags, "hostfs", "x")
    assert (result.code, result.out) == (code, ID + "\n" if flags else "")
    assert result.err == f"hawse: Error response from daemon: {error}.\n"


def failing(problem: int):
    def run() -> None:
        raise OSError(problem, os.strerror(problem))

    return run


@pytest.mark.parametrize(
    ("flags", "problem", "code", "error"),
    [
        ((), errno.ENOSPC, 1, "write /dev/stdout: no space left on device\n"),
        ((), errno.EPIPE, 1, "write /dev/stdout: broken pipe\n"),
        (("--sig-proxy=false",), errno.EPIPE, 141, ""),
    ],
)
def test_output_that_cannot_be_written_ends_the_session_as_in_docker(cli, answers, flags, problem, code, error):
    """The expected texts and codes are those of docker 26.1.5."""
    answers["open_attachment"] = session = Session(failing(problem))
    result = cli("run", *flags, "hostfs", "yes")
    assert (result.code, result.err) == (code, error)
    assert session.closed


@pytest.mark.parametrize(("problem", "code"), [(errno.ENOSPC, 1), (errno.EPIPE, 141)])
def test_a_detached_run_starts_the_container_even_if_its_id_cannot_be_printed(cli, answers, problem, code):
    cli.write_error = problem
    assert cli("run", "-d", "hostfs", "true").code == code
    assert verbs(cli) == ["create", "start"]


def test_run_of_a_missing_image_prints_dockers_two_errors(cli, answers):
    answers["create"] = NotFound("No such image: web:latest")
    assert cli("run", "web").err == (
        "Unable to find image 'web:latest' locally\n"
        "hawse: Error response from daemon: No such image: web:latest.\nSee 'hawse run --help'.\n"
    )


@pytest.mark.parametrize("verb", ["run", "create"])
def test_missing_image_on_a_terminal_says_what_to_do(cli, answers, verb):
    answers["create"] = NotFound("No such image: web:latest")
    cli.error_terminal = True
    shown = cli(verb, "web").err
    assert "No such image: web:latest" in shown
    for advice in ("\n  hawse run hostfs COMMAND ", "skopeo copy docker://web docker-archive:image.tar:web"):
        assert advice in shown
    assert "apt-get install skopeo" in shown


def test_a_failed_pull_does_not_advise_to_install_skopeo_if_it_is_installed(cli, answers):
    answers["create"] = NotFound("No such image: web:latest")
    cli.engine.answers["images"].update(can_pull=True, pull=EngineError("no such host"))
    cli.error_terminal = True
    shown = cli("run", "web").err
    assert "no such host" in shown and "\n  hawse run hostfs COMMAND " in shown
    assert "apt-get" not in shown


def test_a_missing_network_gives_no_advice_about_images(cli, answers):
    answers["create"] = NotFound("network x not found")
    cli.error_terminal = True
    assert "pulls no images" not in cli("run", "hostfs").err


def test_signals_are_forwarded_while_attached(cli, answers):
    answers["open_attachment"] = Session(lambda: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert cli("run", "hostfs", "sleep", "9").code == 0
    assert ("kill", (ID, "TERM"), {}) in cli.engine.calls
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_before_the_start_is_forwarded_after_the_start(cli, answers):
    answers["start"] = lambda _: os.kill(os.getpid(), signal.SIGINT)
    cli("run", "hostfs", "sleep", "9")
    assert verbs(cli) == ["create", "open_attachment", "start", "kill", "wait"]


def test_a_signal_to_an_ended_container_is_no_failure(cli, answers):
    answers["kill"] = Conflict("is not running")
    answers["start"] = lambda _: os.kill(os.getpid(), signal.SIGINT)
    assert cli("run", "hostfs", "true").code == 0


def test_sig_proxy_can_be_turned_off(cli, answers):
    answers["open_attachment"] = Session(lambda: os.kill(os.getpid(), signal.SIGINT))
    assert cli("run", "--sig-proxy=false", "hostfs", "true").code == 130
    assert "kill" not in verbs(cli)


def test_proxy_restores_handlers_after_a_failure():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError), SignalProxy(lambda _: None):
        raise RuntimeError
    assert signal.getsignal(signal.SIGINT) is before


def test_on_a_terminal_the_message_says_how_to_get_a_shell(cli, answers):
    answers["create"] = InvalidArgument("no command specified")
    text = "hawse: Error response from daemon: no command specified.\nSee 'hawse run --help'.\n"
    assert cli("run", "hostfs").err == text
    cli.error_terminal = True
    shown = cli("--no-color", "run", "hostfs").err
    assert shown == f"{text}\nhostfs has no command of its own. For a shell: hawse run -it hostfs sh\n"
