"""Another user of the machine prepares traps for root's commands: directories, links, files and sockets."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import paths
from engine.errors import PermissionDenied
from engine.runtime import root_paths
from tests.conftest import let_others_pass
from tests.installation import CHECKOUT, script

pytestmark = pytest.mark.netns

OTHER = 65534
AS_OTHER = ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups"]


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory like /tmp, in which other users can create files."""
    path = Path(tempfile.mkdtemp(prefix="hawse-shared-"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


def by_other(script: str, *arguments: object) -> None:
    subprocess.run([*AS_OTHER, "sh", "-euc", script, "sh", *map(str, arguments)], check=True)


def refused(host, name: str, path: Path, *argv: str) -> str:
    """Run a command with the directory ``path`` as the value of ``name`` (HAWSE_ROOT or HAWSE_RUN).

    Check that hawse refuses the directory, and return the error line.
    """
    done = host.hawse(*(argv or ("network", "ls")), check=False, env={name: str(path)})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    assert done.stderr.startswith(f"Error response from daemon: {name} {path} is refused: ")
    return done.stderr


@pytest.mark.parametrize("name", ["HAWSE_ROOT", "HAWSE_RUN"])
def test_directory_of_another_user_is_refused_and_nothing_is_made_there(shared_host, shared, name):
    by_other("mkdir -m 777 $1/his", shared)
    assert f"it belongs to user {OTHER} (chown -h root {shared}/his" in refused(shared_host, name, shared / "his")
    assert f"{shared}/his belongs to user {OTHER}" in refused(shared_host, name, shared / "his" / "new")
    assert os.listdir(shared / "his") == []


@pytest.mark.parametrize("name", ["HAWSE_ROOT", "HAWSE_RUN"])
def test_directory_of_root_below_one_of_another_user_is_refused(shared_host, shared, name):
    by_other("mkdir -m 755 $1/his", shared)
    (shared / "his" / "roots").mkdir(mode=0o700)
    assert f"{shared}/his belongs to user {OTHER}" in refused(shared_host, name, shared / "his" / "roots")


@pytest.mark.parametrize("name", ["HAWSE_ROOT", "HAWSE_RUN"])
def test_link_that_another_user_has_set_is_refused(shared_host, shared, tmp_path, name):
    (tmp_path / "victim").mkdir()
    by_other("ln -s $2 $1/link", shared, tmp_path / "victim")
    assert f"it belongs to user {OTHER} (chown -h root {shared}/link" in refused(shared_host, name, shared / "link")
    assert f"{shared}/link belongs to user {OTHER}" in refused(shared_host, name, shared / "link" / "deep")
    assert os.listdir(tmp_path / "victim") == []


def test_every_command_refuses_a_directory_of_another_user(shared_host, shared):
    by_other("mkdir $1/his", shared)
    for argv in (("run", "hostfs", "true"), ("info",), ("images",)):
        done = shared_host.hawse(*argv, check=False, env={"HAWSE_RUN": str(shared / "his")})
        assert "is refused" in done.stderr and done.returncode != 0, (argv, done)
    assert os.listdir(shared / "his") == []


RESIDENTS = {
    "agent": "from engine.agentd.__main__ import main; sys.exit(main())",
    "warm server": "from cli.warm.__main__ import main; main()",
}


@pytest.mark.parametrize("code", RESIDENTS.values(), ids=RESIDENTS)
def test_resident_processes_refuse_too(shared_host, shared, code):
    by_other("mkdir -m 777 $1/his", shared)
    done = shared_host.run(
        *(sys.executable, "-c", f"import sys; {code}"),
        env=shared_host.env(HAWSE_RUN=str(shared / "his")),
        cwd=CHECKOUT,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (
        1,
        f"hawse: HAWSE_RUN {shared}/his is refused: it belongs to user {OTHER} (chown -h root {shared}/his, "
        "or choose another directory)\n",
    )
    assert os.listdir(shared / "his") == []


RACE = """
mkdir $1/mine
while :; do
    mkdir $1/x; rmdir $1/x
    ln -s $2 $1/x; rm $1/x
    ln -s mine $1/x; rm $1/x
    mv $1/mine $1/x; mv $1/x $1/mine
done
"""


def test_directory_that_another_user_exchanges_all_the_time_is_never_used(shared, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    racer = subprocess.Popen([*AS_OTHER, "sh", "-c", RACE, "sh", str(shared), str(victim)], stderr=subprocess.DEVNULL)
    refusals, end = 0, time.monotonic() + 60
    try:
        while refusals < 1500:
            assert time.monotonic() < end
            place = shared / "x" / "run"
            try:
                paths.check(place, "HAWSE_RUN")
                paths.make_private_directory(place / "locks")
            except (PermissionDenied, OSError):
                refusals += 1
                continue
            if (shared / "x").lstat().st_uid == 0:
                shutil.rmtree(shared / "x")
    finally:
        racer.kill()
        racer.wait()
    assert os.listdir(victim) == []
    assert not any(os.listdir(path) for path in shared.iterdir())


@pytest.fixture
def victim(host) -> Path:
    """Create hawse's directories, and return a file outside them that no command may change.

    The tests put links to this file into the directories.
    """
    outside = host.state / "victim"
    for path in (host.root, host.run_dir):
        path.mkdir(mode=0o700, parents=True)
    outside.write_text("untouched")
    return outside


STARTED = {
    "supervisor.lock": "import os; from engine.runtime.supervisor import main; main(os.environ['HAWSE_RUN'])",
    "agent.lock": "from engine.agentd.__main__ import main; main()",
    "agent.log": "from engine.agent import client; from engine.paths import run_directory; "
    "client._start(run_directory(), run_directory(), 2)",
    "warm.lock": "from cli.warm.__main__ import main; main()",
    "locks/host": "from cli.app import App; from cli.root import run; run(['network', 'create', 'app'], App())",
}


@pytest.mark.parametrize("name", STARTED)
@pytest.mark.parametrize("exists", [True, False])
def test_link_that_was_left_is_not_opened(host, victim, name, exists):
    if not exists:
        victim.unlink()
    link = host.run_dir / name
    link.parent.mkdir(mode=0o700, exist_ok=True)
    link.symlink_to(victim)
    host.hawse(code=f"import sys; {STARTED[name]}; sys.exit()", check=False)
    assert victim.exists() == exists
    assert not exists or (victim.read_text(), mode(victim)) == ("untouched", 0o644)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_link_in_the_place_of_the_store_makes_none_elsewhere(host, victim):
    (host.root / "hawse.db").symlink_to(host.state / "made")
    assert "is a link" in host.hawse("network", "ls", check=False).stderr
    assert not (host.state / "made").exists()


@pytest.mark.parametrize("name, how", [("hawse.db", "owner"), ("hawse.db", "mode"), ("hawse.db", "link"),
                                       ("hawse.db-wal", "owner"), ("hawse.db-journal", "mode")])  # fmt: skip
def test_store_that_another_user_left_is_refused(host, victim, name, how):
    host.hawse("network", "create", "app")
    file = host.root / name
    file.touch(mode=0o600)
    if how == "link":
        file.rename(host.state / "elsewhere")
        file.symlink_to(host.state / "elsewhere")
    os.chown(file, OTHER if how == "owner" else 0, -1, follow_symlinks=False)
    if how == "mode":
        file.chmod(0o666)
    done = host.hawse("network", "ls", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        f"Error response from daemon: {file} is a link, belongs to another user or can be written by one: "
        "refusing to use it\n",
    )


def test_process_in_a_file_that_another_user_wrote_is_not_killed(host, victim):
    """Another user wrote the file that records the pid of a container's process. Removing the container must not kill
    the process with this pid.
    """
    container = host.hawse("create", "--name", "one", "hostfs", "true").stdout.strip()
    place = host.run_dir / "containers" / container
    place.mkdir(mode=0o700, parents=True)
    with subprocess.Popen(["sleep", "60"]) as innocent:
        start = Path(f"/proc/{innocent.pid}/stat").read_text().rpartition(")")[2].split()[19]
        (place / "process").write_text(f'{{"pid": {innocent.pid}, "start": {start}}}')
        os.chown(place / "process", OTHER, OTHER)
        host.hawse("rm", "-f", "one", check=False)
        alive = innocent.poll() is None
        innocent.kill()
    assert alive


LISTEN = """
import os, socket, sys
os.chdir(sys.argv[1])
listener = socket.socket(socket.AF_UNIX)
listener.bind("warm.sock")
listener.listen()
os.chmod("warm.sock", 0o777)
print(flush=True)
connection, _ = listener.accept()
try:
    connection.sendall(b"W\\0\\0\\0\\0R\\0\\0\\0\\0E\\0\\0\\0\\0")
    print(len(connection.recv(65536)))
except OSError:
    print(0)
"""


def test_false_warm_server_of_another_user_receives_no_data(host, victim):
    """Another user runs a false warm server (the resident process that runs commands).

    The false server must get neither the command's environment nor root's file descriptors.
    """
    host.run_dir.chmod(0o777)
    let_others_pass(host.run_dir)
    listener = [*AS_OTHER, sys.executable, "-c", LISTEN, str(host.run_dir)]
    with subprocess.Popen(listener, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "\n"
        command = ["ip", "netns", "exec", host.name, str(script()), "network", "ls"]
        done = subprocess.run(command, env=host.env(), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert "is refused: it can be written by other users" in done.stderr
        assert other.stdout.read() == "0\n"


@pytest.mark.parametrize("fault", ["owner", "mode"])
def test_configuration_that_another_user_can_change_is_refused(shared_host, tmp_path, fault):
    config = tmp_path / "daemon.json"
    config.write_text('{"mtu": 1400}')
    config.chmod(0o602 if fault == "mode" else 0o600)
    os.chown(config, OTHER if fault == "owner" else 0, -1)
    done = shared_host.hawse("network", "ls", check=False, env={"HAWSE_CONFIG": str(config)})
    assert (done.returncode, done.stderr) == (
        1,
        f"Error response from daemon: {config} is refused: it belongs to another user or can be written by one "
        "(chown root, chmod go-w)\n",
    )


def test_a_configuration_of_root_and_a_missing_one_are_accepted(shared_host, tmp_path):
    (tmp_path / "daemon.json").write_text("{}")
    for path in (tmp_path / "daemon.json", "/dev/null", tmp_path / "missing.json"):
        shared_host.hawse("network", "ls", env={"HAWSE_CONFIG": str(path)})


def test_files_are_roots_alone_whatever_the_umask(host):
    for number, umask in enumerate(("0", "777")):
        for argv in (
            ("network", "create", f"app{number}"),
            ("run", "-d", "--network", f"app{number}", "-p", f"127.0.0.1:700{number}:70", "hostfs", "sleep", "1d"),
        ):
            host.run("sh", "-c", f'umask {umask}; exec "$@"', "sh", *host.command(*argv)[4:], env=host.env())
    files = [p for top in (host.state / "h1",) for p in top.rglob("*") if not p.is_symlink()]
    shared = {"hosts", "hostname", "resolv.conf", "rootfs"}  # others may read these, but cannot enter their directory
    assert {p.name: oct(mode(p)) for p in files if mode(p) & 0o77 and p.name not in shared} == {}
    assert {oct(mode(p)) for p in files if p.is_dir() and p.name not in shared} == {"0o700"}
    assert {oct(mode(p)) for p in files if p.is_file() and p.name not in shared} == {"0o600"}


def test_root_of_a_user_namespace_uses_directories_of_his_own(shared):
    """In a user namespace, the host's root and all unmapped users appear as "nobody". hawse must refuse directories of
    "nobody".
    """
    os.chown(shared, OTHER, OTHER)
    by_other("mkdir -m 700 $1/his", shared)
    (shared / "roots").mkdir(mode=0o777)
    shared.chmod(0o755)
    code = (
        "import sys; from pathlib import Path; from engine.paths import check, make_private_directory as make_private\n"
        "for path in map(Path, sys.argv[1:]):\n"
        "    try: check(path, 'HAWSE_RUN'); make_private(path / 'deep'); print('used')\n"
        "    except Exception as error: print(error)"
    )
    command = [*AS_OTHER, "unshare", "-Ur", "/usr/bin/python3", "-c", code, f"{shared}/his", f"{shared}/roots"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=True)
    assert done.stdout.splitlines()[0] == "used"
    assert f"it belongs to user {OTHER}" in done.stdout.splitlines()[1]


@pytest.mark.parametrize(("target", "made"), [("trap", "made"), ("way/made", "made"), ("way/a/b", "a")])
def test_no_mount_point_is_made_where_a_link_of_another_user_leads(shared_host, shared, target, made):
    """A mount point that is missing is made on the host, because hostfs is the host's own file system."""
    (shared / "roots").mkdir()
    (shared / "source").touch()
    by_other("mkdir $1/his; ln -s $1/roots/made $1/his/trap; ln -s $1/roots $1/his/way", shared)
    volume = f"{shared}/source:{shared}/his/{target}"
    done = shared_host.hawse("run", "--rm", "-v", volume, "hostfs", "true", check=False)
    assert f"cannot make {shared}/his/{target}: {target[:4].strip('/')} is a link of another user" in done.stderr
    assert not (shared / "roots" / made).exists()


EXCHANGE = """
import ctypes, os, sys
os.chdir(sys.argv[1])
os.makedirs("his/way")
os.symlink(sys.argv[1] + "/roots", "his/link")
print(flush=True)
exchange = ctypes.CDLL(None).renameat2
while True:
    exchange(-100, b"his/way", -100, b"his/link", 2)
"""
"""A program that exchanges a directory and a link, again and again (RENAME_EXCHANGE)."""


def test_nothing_is_made_where_a_link_leads_that_another_user_exchanges_all_the_time(shared):
    (shared / "roots").mkdir()
    root, refusals = root_paths.open_root("/"), 0
    with subprocess.Popen([*AS_OTHER, sys.executable, "-c", EXCHANGE, shared], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"\n"
        for number in range(8000):
            try:
                root_paths.ensure(root, f"{shared}/his/way/{number}", directory=False, own_links=True)
            except OSError:
                refusals += 1
        other.kill()
    os.close(root)
    assert os.listdir(shared / "roots") == []
    assert 0 < refusals < 8000


def test_no_working_directory_is_made_where_a_link_of_another_user_leads(shared_host, shared):
    (shared / "roots").mkdir()
    by_other("mkdir $1/his; ln -s $1/roots $1/his/way", shared)
    path = f"{shared}/his/way/made"
    done = shared_host.hawse("run", "--rm", "-w", path, "hostfs", "true", check=False)
    assert f"cannot make {path}: way is a link of another user (name the path where it leads)" in done.stderr
    assert not (shared / "roots" / "made").exists()
    (shared / "roots" / "made").mkdir()
    assert shared_host.hawse("run", "--rm", "-w", path, "hostfs", "pwd", "-P").stdout == f"{shared}/roots/made\n"


def test_a_mount_point_is_made_where_a_link_of_root_leads(shared_host, shared):
    (shared / "roots").mkdir()
    (shared / "source").write_text("here")
    (shared / "way").symlink_to("roots")
    volume = f"{shared}/source:{shared}/way/a/made"
    assert shared_host.hawse("run", "--rm", "-v", volume, "hostfs", "cat", f"{shared}/roots/a/made").stdout == "here"
