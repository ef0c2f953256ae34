from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import CHECKOUT


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, because the imports of this process cannot be undone."""
    return subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True)


def test_drivers_import_only_the_modules_of_pyroute2_that_they_use():
    assert run("import sys, drivers.registry, drivers.bridge; print('pyroute2.ndb' in sys.modules)").stdout == "False\n"


@pytest.mark.parametrize(
    "code",
    ["from pyroute2 import IPRoute", "import pyroute2; pyroute2.IPRoute", "import pyroute2; pyroute2.__version__"],
)
def test_a_driver_of_another_package_can_use_the_whole_of_pyroute2(code):
    result = run(f"import drivers.bridge; {code}; print('whole')")
    assert (result.stdout, result.stderr) == ("whole\n", "")


def test_an_unknown_name_of_pyroute2_is_an_import_error():
    assert (
        "ImportError: cannot import name 'nonsense'"
        in run("import drivers.bridge; from pyroute2 import nonsense").stderr
    )
