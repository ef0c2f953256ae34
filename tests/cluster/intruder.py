"""Send hand-made requests to a server of the cluster: ``intruder.py ROOT``.

The directory ROOT has the host certificate with which the program connects. Each input line is one request, as a JSON
list ``[URL, NAME, PATH, BODY]``: the program connects to URL and posts BODY to PATH. The server must present a
certificate for NAME from the cluster's authority. The program prints ``["ok", DOCUMENT]`` or ``["refused", TEXT]``.
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
