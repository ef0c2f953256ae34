"""Real shells in a real terminal. tmux runs the shells; the tests type keys and read the screen.

The command ``hawse`` in these shells runs this checkout. Its store has records of networks, containers and images. No
kernel objects exist, because completion reads records only.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from engine.model import (
    ContainerConfig,
    ContainerRecord,
    EndpointRecord,
    EndpointSettings,
    HostConfig,
    ImageRecord,
    NetworkAttachment,
    NetworkRecord,
    PoolRecord,
    PortRecord,
    PortSpec,
)
from engine.store.sqlite import SqliteStore

CHECKOUT = Path(__file__).parent.parent.parent
PATIENCE = 15.0  # seconds to wait until the screen shows what a test expects
CREATED = "2026-01-02T03:04:05.000000006Z"
ODD = "odd name: of/ünï"  # a network name with blanks, a colon, a slash and non-ASCII letters
SENTINEL = "Z"


def network(number: int, name: str, driver: str = "bridge", **more) -> NetworkRecord:
    pools = [PoolRecord(f"172.{20 + number}.0.0/16")] if driver == "bridge" else []
    return NetworkRecord(f"{number:064x}", name, CREATED, driver, pools=pools, **more)


def container(number: int, name: str, status: str, networks: list[str], **config) -> ContainerRecord:
    return ContainerRecord(
        f"{number:064x}", name, CREATED, ContainerConfig("hostfs", **config),
        HostConfig(port_bindings=[PortSpec("tcp", 80, "", "8080")] if name == "web" else []),
        [NetworkAttachment(name, EndpointSettings()) for name in networks], status=status,
    )  # fmt: skip


def fill(root: Path) -> None:
    """Record three predefined networks, four other networks, five containers and an image in the store of ``root``."""
    with SqliteStore(root / "hawse.db").write() as tx:
        for number, (name, driver) in enumerate((("bridge", "bridge"), ("host", "host"), ("none", "null")), 1):
            tx.put_network(network(number, name, driver, predefined=True))
        tx.put_network(network(4, "app", labels={"tier": "web"}))
        tx.put_network(network(5, "back"))
        tx.put_network(network(6, ODD))
        tx.put_network(network(7, "settings", config_only=True))
        tx.put_container(container(1, "web", "running", ["app", "back"], labels={"role": "front"}))
        tx.put_container(container(2, "db", "running", ["back"]))
        tx.put_container(container(3, "old", "exited", ["bridge"]))
        tx.put_endpoint(EndpointRecord(
            "e" * 64, f"{4:064x}", f"{1:064x}", "02:42:ac:18:00:02", "172.24.0.2/16",
            ports=[PortRecord("tcp", "0.0.0.0", 8080, 8080, 80, 80), PortRecord("udp", "0.0.0.0", 5300, 5300, 53, 53)],
        ))  # fmt: skip
        tx.put_image(ImageRecord("sha256:" + "a" * 64, ["registry.test:5000/team/app:1.0", "alpine:latest"], CREATED, 1,
                                 "/nowhere"))  # fmt: skip


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the shells start.

    Its subdirectory ``bin`` has a program ``hawse``, and its subdirectory ``state`` has a store. The directory also has
    the completion files, and files whose names TAB can complete.
    """
    home = tmp_path_factory.mktemp("terminal")
    (home / "bin").mkdir()
    program = home / "bin" / "hawse"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(CHECKOUT))} exec {shlex.quote(sys.executable)} -m cli "$@"\n'
    )
    program.chmod(0o755)
    (home / "bin" / "hawse-program").symlink_to("/bin/true")
    shutil.copytree(CHECKOUT / "completions", home / "completions")
    fill(home / "state")
    (home / "settings.env").write_text("A=1\n")
    (home / "rootfs").mkdir()
    return home


class Screen:
    """A shell in a separate terminal."""

    def __init__(
        self, name: str, command: list[str], directory: Path, environ: dict[str, str], columns: int = 180
    ) -> None:
        self.name, self.socket = name.partition("-")[0], directory / f"{name}.socket"
        words = " ".join(shlex.quote(word) for word in ["env", *(f"{k}={v}" for k, v in environ.items()), *command])
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", "60", "-c", str(directory), words)
        self.wait_for(lambda text: text.rstrip().endswith("$"))

    def tmux(self, *argv: str) -> str:
        ran = subprocess.run(["tmux", "-S", str(self.socket), *argv], capture_output=True, text=True, timeout=30,
                             env={**os.environ, "LC_ALL": "C.UTF-8"})  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def keys(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def text(self) -> str:
        return self.tmux("capture-pane", "-p", "-J")

    def wait_for(self, test: Callable[[str], bool]) -> str:
        """Wait until ``test`` returns true for the text on the screen; return this text.

        After `PATIENCE` seconds, return the text that is then on the screen, even if ``test`` returned false.
        """
        end = time.monotonic() + PATIENCE
        while not test(seen := self.text()) and time.monotonic() < end:
            time.sleep(0.05)
        return seen

    def fresh(self) -> None:
        """Discard the unfinished command line and clear the screen."""
        # For bash, no interrupt key is sent. After an interrupt during completion, bash's readline would ignore further
        # interrupts.
        self.keys("C-e" if self.name == "bash" else "C-c", "C-u", "C-l")
        self.wait_for(lambda text: text.strip() == "$")

    def completed(self, line: str, *expected: str, left: int = 0) -> str:
        """Type a line, press TAB and then type Z; return the line on the screen.

        Before TAB, the cursor moves ``left`` characters to the left.
        """
        self.fresh()
        self.keys("-l", line)
        for _ in range(left):
            self.keys("Left")
        self.keys("Tab")
        self.keys("-l", SENTINEL)
        lines = {f"$ {shown}" for shown in expected}
        seen = self.wait_for(lambda text: bool(lines & {row.rstrip() for row in text.split("\n")}))
        return seen.strip().split("\n")[-1].removeprefix("$ ")

    def offered(self, line: str, *expected: str) -> str:
        """Type a line and press TAB, and return the screen below the prompt.

        One TAB is enough, because the start files of bash and zsh set options that list the words on the first TAB.
        """
        self.fresh()
        self.keys("-l", line)
        self.keys("Tab")
        seen = self.wait_for(lambda text: all(word in text.partition("\n")[2] for word in expected))
        return seen.partition("\n")[2]

    def close(self) -> None:
        self.tmux("kill-server")


def start(
    shell: str, directory: Path, *, root: Path | None = None, package: bool = False, columns: int = 180
) -> Screen:
    """Start a shell that has loaded its completion file. With ``package``, bash also loads the package
    bash-completion.
    """
    home = Path(tempfile.mkdtemp(prefix=f"home-{shell}-", dir=directory))
    environ = {
        "PATH": f"{directory / 'bin'}:/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8",
        "HAWSE_ROOT": str(root or directory / "state"), "TERM": "screen", "ZDOTDIR": str(home),
    }  # fmt: skip
    command = {"bash": bash, "zsh": zsh, "fish": fish}[shell](
        home, shlex.quote(str(directory / "completions")), package
    )
    return Screen(home.name.replace("home-", ""), command, directory, environ, columns)


def on_terminal(columns: int, *argv: str, program: str = "", **environ: str) -> str:
    """Return what ``hawse`` prints on a terminal with this number of columns.

    ``program`` is Python code that runs instead of hawse. Line ends are ``\\n``.
    """
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    command = ["-c", program, *argv] if program else ["-m", "cli", *argv]
    child = pexpect.spawn(sys.executable, command, cwd=str(CHECKOUT), encoding="utf-8", timeout=60,
                          dimensions=(50, columns), env={**env, **environ})  # fmt: skip
    child.expect(pexpect.EOF)
    child.close()
    return str(child.before).replace("\r\n", "\n")


def bash(home: Path, completions: str, package: bool) -> list[str]:
    loaded = ". /usr/share/bash-completion/bash_completion" if package else "complete -r"
    (home / "rc").write_text(
        f"{loaded}\n. {completions}/hawse.bash\nPS1='$ '\nbind 'set show-all-if-ambiguous on'\nunset HISTFILE\n"
        "bind 'set page-completions off'\nbind 'set completion-query-items 0'\nbind 'set bell-style none'\n"
    )
    return ["bash", "--noprofile", "--rcfile", str(home / "rc")]


def zsh(home: Path, completions: str, package: bool) -> list[str]:
    (home / ".zshrc").write_text(
        f"fpath=({completions} $fpath)\nautoload -Uz compinit\ncompinit -u -D\nPS1='$ '\n"
        "setopt no_beep no_list_ambiguous\nLISTMAX=1000\nbindkey -e\n"
    )
    return ["zsh", "-i"]


def fish(home: Path, completions: str, package: bool) -> list[str]:
    (home / "rc").write_text(
        f"source {completions}/hawse.fish\nfunction fish_prompt; echo -n '$ '; end\nset -g fish_greeting\n"
        "set -g fish_autosuggestion_enabled 0\n"
    )
    return ["fish", "--private", "--no-config", "-C", f"source {home / 'rc'}"]


@pytest.fixture
def started() -> Iterator[Callable[..., Screen]]:
    """Return a function that starts shells. The shells end together with the test."""
    screens: list[Screen] = []

    def begin(*args, **how) -> Screen:
        screens.append(start(*args, **how))
        return screens[-1]

    yield begin
    for screen in screens:
        screen.close()


@pytest.fixture(scope="session", params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, directory: Path) -> Iterator[Screen]:
    """A shell of each kind: every test runs once with bash, zsh and fish."""
    screen = start(request.param, directory)
    yield screen
    screen.close()
