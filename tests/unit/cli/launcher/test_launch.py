"""The launcher (the script that users call).

The tests check which modules the launcher imports, the launcher's copies of other modules' constants, and how it finds
hawse's packages.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.launcher import launch
from engine import paths
from tests.installation import CHECKOUT, PACKAGES, install, packages

BOOT = f"import sys; before = set(sys.modules); sys.path.insert(0, {str(CHECKOUT)!r}); "
BOOT += "import cli.launcher.launch as launch; "
IMPORTED = BOOT + "print(*sorted(set(sys.modules) - before))"


def test_the_launcher_imports_only_socket_beside_its_own_modules():
    output = subprocess.run([sys.executable, "-IS", "-c", IMPORTED], capture_output=True, text=True, check=True).stdout
    assert set(output.split()) == {"_socket", "cli", "cli.launcher", "cli.launcher.launch"}


def test_the_default_run_directory_is_that_of_the_engine():
    assert os.fsdecode(launch.DEFAULT_RUN) == paths.DEFAULT_RUN


def test_the_launcher_finds_the_directory_of_its_packages():
    assert Path(launch.PACKAGES) == CHECKOUT


def launched(*argv: str, **extra: str) -> subprocess.CompletedProcess[str]:
    boot = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); from cli.launcher.launch import main; main()"
    environment = {**os.environ, "HAWSE_RUN": "/nonexistent/run", **extra}
    return subprocess.run([sys.executable, "-IS", "-c", boot, *argv], capture_output=True, text=True, env=environment)


def test_without_a_server_the_command_runs_in_its_own_process():
    result = launched("--version", HAWSE_WARM="off")
    assert (result.returncode, result.stderr, result.stdout[:15]) == (0, "", "Docker version ")
    assert launched("nosuch", HAWSE_WARM="off").returncode == 1


@pytest.mark.parametrize("flags", [[], ["-D"], ["--log-level", "info"]])
def test_uninstall_always_runs_in_its_own_process(flags):
    result = launched(*flags, "system", "uninstall", "--help", HAWSE_WARM="only")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_command_that_names_a_file_descriptor_always_runs_in_its_own_process():
    result = launched("run", "--env-file", "/dev/fd/63", "--help", HAWSE_WARM="only")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_command_that_must_be_warm_fails_without_a_server():
    result = launched("--version", HAWSE_WARM="only")
    assert (result.returncode, result.stderr) == (125, "hawse: no warm server accepted the command (HAWSE_WARM=only)\n")


ONLY_WARM = {"HAWSE_RUN": "/nonexistent/run", "HAWSE_WARM": "only"}
REFUSED = (125, launch.REFUSED_TEXT.decode())


def run(command, **options) -> tuple[int, str]:
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, **options)
    return result.returncode, result.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install hawse into a temporary directory, with a link to its script as pipx creates it; return the directory."""
    directory = tmp_path_factory.mktemp("installed")
    install(directory / "venv")
    (directory / "bin").mkdir()
    (directory / "bin/hawse").symlink_to("../venv/bin/hawse")
    return directory


@pytest.mark.parametrize("path", ["", "/nonexistent", "bin"])
@pytest.mark.parametrize("name", ["{}/venv/bin/hawse", "{}/bin/hawse", "bin/hawse", "./venv/bin/hawse"])
def test_the_script_finds_its_interpreter_and_packages(installed, name, path):
    assert run([name.format(installed)], env={**ONLY_WARM, "PATH": path}, cwd=installed) == REFUSED


@pytest.fixture
def planted(tmp_path):
    """Return a directory with false packages that have the names of hawse's packages.

    A process that imports a false package exits with an error.
    """
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("import sys; sys.exit('a planted package was imported')")
    return tmp_path


@pytest.mark.parametrize("mode", ["only", "off"])
@pytest.mark.parametrize("command", [["bin/hawse"], ["bin/python3", "-m", "hawse"]], ids=["script", "module"])
def test_packages_in_the_current_directory_and_on_pythonpath_are_not_imported(installed, planted, command, mode):
    program = [str(installed / "venv" / command[0]), *command[1:], "--version"]
    environment = {**ONLY_WARM, "HAWSE_WARM": mode, "PYTHONPATH": str(planted), "PATH": os.environ["PATH"]}
    assert run(program, env=environment, cwd=planted) == (REFUSED if mode == "only" else (0, ""))


@pytest.mark.parametrize("named", ["_editable_impl_hawse.pth", "other.pth"])
def test_a_package_of_another_distribution_is_not_imported_by_an_editable_install(tmp_path, planted, named):
    prefix = tmp_path / "editable"
    script, directory = install(prefix), packages(prefix)
    for name in PACKAGES:
        (directory / name).rename(prefix / name)
        (planted / name).rename(directory / name)
    (directory / named).write_text(f"{prefix}\n{prefix}")
    assert run([script, "--version"], env={**ONLY_WARM, "HAWSE_WARM": "off"}) == (0, "")
    assert run([prefix / "bin/python", "-m", "hawse", "--version"], env=ONLY_WARM) == REFUSED


def test_python_and_python3_of_one_installation_have_one_identity(installed):
    boot = f"import sys; sys.path.insert(0, {str(packages(installed / 'venv'))!r}); "
    boot += "from cli.launcher.launch import identity; print(identity())"
    identities = {
        subprocess.check_output([installed / "venv/bin" / name, "-IS", "-c", boot]) for name in ("python", "python3")
    }
    assert len(identities) == 1


@pytest.mark.parametrize("locale", [{}, {"LC_CTYPE": "C"}, {"LANG": "C"}, {"LC_CTYPE": "C.UTF-8"}, {"LC_ALL": "C"}])
def test_the_interpreter_does_not_change_the_environment_of_the_command(locale, tmp_path):
    script = install(tmp_path / "prefix")
    launch = next((tmp_path / "prefix").rglob("launch.py"))
    launch.unlink()  # remove first, because the file may be a hard link to the checkout's file
    launch.write_text("import os\n\n\ndef main():\n    print({k: v for k, v in os.environ.items() if k != 'PATH'})\n")
    environment = {"PATH": os.environ["PATH"], **locale}
    result = subprocess.run([script], env=environment, capture_output=True, text=True, timeout=20, check=True)
    shown = ast.literal_eval(result.stdout)
    assert {k: v for k, v in shown.items() if k not in ("PWD", "OLDPWD", "_", "SHLVL")} == locale


def test_an_installation_that_the_user_may_not_read_is_named(tmp_path):
    boot = tmp_path / "share" / "hawse" / "boot.py"
    boot.parent.mkdir(parents=True)
    boot.write_text((CHECKOUT / "cli" / "launcher" / "boot.py").read_text())
    python = os.path.realpath(sys.executable)  # the interpreter without this virtual environment
    done = subprocess.run([python, "-I", "-S", boot, "version"], cwd="/", capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"hawse: cannot import {tmp_path}/lib/python")
    assert done.stderr.endswith(": No module named 'cli' (install hawse where each user may read, not below /root)\n")
