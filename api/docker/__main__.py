"""``python -m api.docker SETTINGS``: serve the API in the foreground. SETTINGS is a JSON object with the `Settings`.

``hawse system service`` checks the flags, and then replaces itself by this module with execve(2). The service therefore
keeps no module of the command line in memory.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from api.docker.listeners import Settings, inherited_listeners, tcp_listener, unix_listener
from api.docker.router import Router
from api.docker.routes import ROUTES
from api.docker.service import Service
from engine.errors import EngineError


def main() -> int:
    """Serve until a signal ends the service; return the exit code."""
    settings = Settings(**json.loads(sys.argv[1]))
    os.umask(0o022)
    listeners = inherited_listeners()
    made, tls = None, None
    try:
        if settings.address:
            from api.docker.tls import tls_context

            tls = tls_context(settings)
        if settings.path and not listeners:
            listeners.append(unix_listener(settings))
            made = Path(settings.path)
        if settings.address:
            listeners.append(tcp_listener(settings))
        for listener in listeners:
            print(f"API listen on {_shown(listener.getsockname())}", file=sys.stderr, flush=True)
        return Service(Router(ROUTES), listeners, tls).run()
    except EngineError as error:
        print(f"hawse: {error}", file=sys.stderr)
        return 1
    finally:
        if made is not None:
            with suppress(OSError):
                made.unlink()


def _shown(name: object) -> str:
    return ":".join(map(str, name[:2])) if isinstance(name, tuple) else str(name)


if __name__ == "__main__":
    sys.exit(main())
