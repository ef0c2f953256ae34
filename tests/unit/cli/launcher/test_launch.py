"""The launcher's one virtue is to be small: what it imports, and that it agrees with those it must not import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.launcher import launch
from engine import paths
from tests.installation import CHECKOUT, install

BOOT = f"import sys; before = set(sys.modules); sys.path.insert(0, {str(CHECKOUT)!r}); "
BOOT += "import cli.launcher.launch as launch; "
IMPORTED = BOOT + "print(*sorted(set(sys.modules) - before))"


def test_it_imports_only_what_an_interpreter_without_site_packages_has():
    output = subprocess.run([sys.executable, "-IS", "-c", IMPORTED], capture_output=True, text=True, check=True).stdout
    assert set(output.split()) == {"_socket", "cli", "cli.launcher", "cli.launcher.launch"}


def test_it_looks_where_the_engine_does():
    assert os.fsdecode(launch.DEFAULT_RUN) == paths.DEFAULT_RUN


def test_it_knows_where_it_was_imported_from():
    assert Path(launch.PACKAGES) == CHECKOUT


def launched(*argv: str, **extra: str) -> subprocess.CompletedProcess[str]:
    boot = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); from cli.launcher.launch import main; main()"
    environment = {**os.environ, "HAWSE_RUN": "/nonexistent/run", **extra}
    return subprocess.run([sys.executable, "-IS", "-c", boot, *argv], capture_output=True, text=True, env=environment)


def test_without_a_server_the_command_runs_in_its_own_process():
    result = launched("--version", HAWSE_WARM="off")
    assert (result.returncode, result.stderr, result.stdout[:14]) == (0, "", "hawse version ")
    assert launched("nosuch", HAWSE_WARM="off").returncode == 1


def test_a_command_that_must_be_warm_fails_without_a_server():
    result = launched("--version", HAWSE_WARM="only")
    assert (result.returncode, result.stderr) == (125, "hawse: no warm server takes this command\n")


PERL = ["perl", "-e", "END { print join ' ', sort keys %INC } do shift @ARGV", str(CHECKOUT / "cli/launch.pl")]


def test_in_perl_it_loads_nothing_and_says_when_there_is_no_interpreter():
    environment = {**os.environ, "HAWSE_WARM": "off"}
    result = subprocess.run([*PERL, "/nonexistent", "x"], capture_output=True, text=True, env=environment)
    assert result.stdout.split() == [str(CHECKOUT / "cli/launch.pl")]
    assert (result.returncode, result.stderr) == (125, "hawse: /nonexistent: No such file or directory\n")


def test_perl_at_its_strictest_has_no_doubts_about_it():
    result = subprocess.run(["perl", "-Mstrict", "-wc", CHECKOUT / "cli/launch.pl"], capture_output=True, text=True)
    assert result.stderr == f"{CHECKOUT}/cli/launch.pl syntax OK\n"


@pytest.fixture(params=["launch.py", "launch.pl"])
def installed(tmp_path, request):
    """An installation, with a link to its script as pipx makes one."""
    install(tmp_path / "venv", launcher=request.param)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/hawse").symlink_to("../venv/bin/hawse")
    return tmp_path


@pytest.mark.parametrize("path", ["", "/nonexistent", "bin"])
@pytest.mark.parametrize("name", ["{}/venv/bin/hawse", "{}/bin/hawse", "bin/hawse", "./venv/bin/hawse"])
def test_the_script_finds_its_interpreter_and_packages(installed, name, path):
    environment = {"PATH": path, "HAWSE_RUN": "/nonexistent/run", "HAWSE_WARM": "only"}
    result = subprocess.run(
        [name.format(installed)], env=environment, cwd=installed, capture_output=True, text=True, timeout=20
    )
    assert (result.returncode, result.stderr) == (125, "hawse: no warm server takes this command\n")


@pytest.mark.parametrize("name, value", [("PERLIO", ":utf8"), ("PERL5OPT", "-Mnosuch"), ("PERL_UNICODE", "SDA")])
def test_what_changes_every_perl_does_not_change_the_command(installed, name, value):
    environment = {"PATH": "/usr/bin:/bin", "HAWSE_RUN": "/nonexistent/run", "HAWSE_WARM": "only", name: value}
    result = subprocess.run([installed / "venv/bin/hawse"], env=environment, capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stderr) == (125, "hawse: no warm server takes this command\n")
