"""Completion works on a host where hawse never ran, for users other than root, and with the package bash-completion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
NOBODY = 65534


def ask(root: Path, *through: str, kinds: str = "networks") -> subprocess.CompletedProcess[str]:
    environ = {"HAWSE_ROOT": str(root), "PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)}
    command = [*through, sys.executable, "-m", "cli", "__complete", kinds, "0"]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60)


@pytest.fixture(params=["bash", "zsh", "fish"])
def storeless(request, directory, tmp_path, started):
    return started(request.param, directory, root=tmp_path / "no" / "store")


def test_tab_without_a_store_offers_fixed_words_and_creates_no_file(storeless, tmp_path):
    nothing = ("hawse network inspect Z", "hawse network inspectZ")
    assert storeless.completed("hawse network inspect ", *nothing) in nothing
    for line, expected in [
        ("hawse network cr", "hawse network create Z"),
        ("hawse run --network ho", "hawse run --network host Z"),
    ]:
        assert storeless.completed(line, expected) == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_shell_reads_a_saved_answer_until_the_store_changes(name, directory, tmp_path, started):
    root = tmp_path / "state"
    shutil.copytree(directory / "state", root)
    ask(root)  # this first completion creates the store's log file, whose age the test sets
    then = time.time_ns() - 3600 * 10**9
    for file in root.glob("hawse.db*"):
        os.utime(file, ns=(then, then))
    assert ask(root, kinds="networks+").stdout
    answer = root / "names" / "networks+"
    answer.write_text("from-the-answer\tno network at all\n")  # this cached answer differs from the real hawse's answer
    os.utime(answer, ns=(then, then))
    screen = started(name, directory, root=root)
    line = "hawse network inspect "
    assert screen.completed(f"{line}fr", f"{line}from-the-answer Z") == f"{line}from-the-answer Z"
    for file in root.glob("hawse.db*"):
        os.utime(file)
    assert screen.completed(f"{line}ap", f"{line}app Z") == f"{line}app Z"


@pytest.mark.skipif(not Path("/usr/share/bash-completion/bash_completion").exists(), reason="no bash-completion here")
def test_completion_works_beside_the_package_bash_completion(directory, started):
    screen = started("bash", directory, package=True)
    for line, expected in [
        ("hawse network create --opt=com.docker.network.bridge.enable_icc=t",
         "hawse network create --opt=com.docker.network.bridge.enable_icc=true Z"),
        ("hawse run registry.test:5000/te", "hawse run registry.test:5000/team/app:1.0 Z"),
        ("hawse network inspect odd\\ name:\\ o", "hawse network inspect odd\\ name:\\ of/ünï Z"),
    ]:  # fmt: skip
        assert screen.completed(line, expected) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give its powers away")
def test_no_names_are_offered_from_an_unreadable_store(directory, tmp_path):
    shutil.copytree(directory / "state", tmp_path / "state")
    assert ask(tmp_path / "state").stdout.startswith("bridge\tbridge 172.21.0.0/16\n")
    for path in (tmp_path / "state", *(tmp_path / "state").iterdir()):
        os.chown(path, NOBODY, NOBODY)
    ran = ask(tmp_path / "state", "setpriv", "--bounding-set=-dac_override,-dac_read_search")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
