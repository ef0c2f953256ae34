"""hawse searches for a container's command. If the command is not found, the error text is Docker's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.runtime.command import environment, find_executable
from engine.runtime.credentials import CAPABILITIES, DEFAULT_CAPABILITIES
from engine.runtime.errors import CREATE, EXEC, SetupFailed, message


@pytest.fixture
def path(tmp_path):
    for directory, name, mode in (
        ("a", "plain", 0o644),
        ("a", "tool", 0o755),
        ("b", "plain", 0o755),
        ("b", "tool", 0o755),
    ):
        (tmp_path / directory).mkdir(exist_ok=True)
        (tmp_path / directory / name).write_text("")
        (tmp_path / directory / name).chmod(mode)
    (tmp_path / "a" / "folder").mkdir()
    return f"{tmp_path}/a:{tmp_path}/b"


def test_the_first_executable_in_the_path_is_found(path, tmp_path):
    assert find_executable("tool", {"PATH": path}) == f"{tmp_path}/a/tool"
    assert find_executable("plain", {"PATH": path}) == f"{tmp_path}/b/plain"
    assert find_executable(f"{tmp_path}/b/tool", {}) == f"{tmp_path}/b/tool"


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("nosuch", "not-found", 'exec: "nosuch": executable file not found in $PATH'),
        ("folder", "not-found", 'exec: "folder": executable file not found in $PATH'),
        ("", "not-found", 'exec: "": executable file not found in $PATH'),
        ("./x", "not-found", 'exec: "./x": stat ./x: no such file or directory'),
        ("/", "permission", 'exec: "/": is a directory'),
    ],
)
def test_a_missing_or_unusable_command_is_refused(path, name, kind, text):
    with pytest.raises(SetupFailed) as failure:
        find_executable(name, {"PATH": path})
    assert (failure.value.kind, failure.value.text) == (kind, text)


def test_error_messages_have_dockers_text():
    directory = SetupFailed("permission", 'exec: "/etc": is a directory')
    assert message(directory, EXEC) == (
        'OCI runtime exec failed: exec failed: unable to start container process: exec: "/etc": is a directory: '
        "unknown: permission denied"
    )
    assert message(SetupFailed("other", "x"), CREATE).endswith("unable to start container process: x: unknown")
    assert message(SetupFailed("bad-user", "as it is", plain=True), CREATE) == "as it is"


def test_environment_uses_the_last_value_and_skips_entries_without_name_or_value():
    variables = environment(["A=1", "B=x=y", "A=2", "C", "=D", "E="], "/home")
    assert variables == {"A": "2", "B": "x=y", "E": "", "HOME": "/home"}


@pytest.mark.parametrize(("given", "home"), [("/data", "/data"), ("", "/root")])
def test_home_of_the_user_replaces_an_empty_variable_only(given, home):
    assert environment([f"HOME={given}"], "/root") == {"HOME": home}


def test_capabilities_have_the_kernels_numbers():
    assert (CAPABILITIES.index("NET_ADMIN"), CAPABILITIES.index("CHECKPOINT_RESTORE")) == (12, 40)
    assert sum(1 << CAPABILITIES.index(name) for name in DEFAULT_CAPABILITIES) == 0xA80425FB


def test_the_supervisor_imports_no_large_module():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import engine.runtime.supervisor; "
        "print(*sorted({'dataclasses', 'typing', 'pathlib', 'subprocess', 'inspect', 'click'} & set(sys.modules)))"
    )
    root = str(Path(__file__).parents[4])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, root], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
