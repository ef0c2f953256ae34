"""Run a hawse command through the warm server of a directory other than HAWSE_RUN: ``shared_launcher.py DIRECTORY …``.

If this server does not run, the command runs in this process, and starts no warm server. The program needs the Python
interpreter of an installation that `tests.installation` has made.
"""

import posix
import sys

PREFIX = sys.executable.rsplit("/", 2)[0]
sys.path.insert(0, f"{PREFIX}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
from cli.launcher import launch  # noqa: E402

DIRECTORY = sys.argv.pop(1).encode()
connect_to_server_of_environment = launch.connect


def connect():
    before = posix.environ.get(b"HAWSE_RUN", b"")
    posix.environ[b"HAWSE_RUN"] = DIRECTORY
    try:
        return connect_to_server_of_environment()
    finally:
        posix.environ[b"HAWSE_RUN"] = before


launch.ANSWER_TIMEOUT_SECONDS = 20.0  # on a loaded machine, waiting costs less than running without the server
launch.connect = connect
launch.start_server = lambda: None
launch.main()
