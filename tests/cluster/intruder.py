"""Send a server of the cluster requests that no hawse command sends.

Usage: ``intruder.py ROOT``. The program shows the host certificate in the directory ROOT. Each input line
``[URL, NAME, PATH, BODY]`` (JSON) opens one connection. The server must show a certificate for NAME from the cluster's
authority. The program answers each line with ``["ok", DOCUMENT]`` or ``["refused", TEXT]``.
"""

import json
import sys
from pathlib import Path

from engine.cluster import membership
from engine.cluster.etcd.http import EtcdConnection
from engine.errors import EngineError

PATIENCE = 15.0


def ask(root, url, name, path, body):
    try:
        connection = EtcdConnection(url, lambda: membership.node_context(root), PATIENCE, name)
        try:
            return ["ok", connection.post(path, body)]
        finally:
            connection.close()
    except (EngineError, OSError) as error:
        return ["refused", str(error)]


def main():
    for line in sys.stdin:
        print(json.dumps(ask(Path(sys.argv[1]), *json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
