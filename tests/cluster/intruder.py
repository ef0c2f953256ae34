"""Asks what no command asks: ``intruder.py ROOT`` has the certificate that the host of ROOT has, and is up to no good.

For each line ``[URL, NAME, PATH, BODY]`` (JSON) one connection is made, whose other side must have a certificate for
NAME of the cluster's authority, and one answer is printed: ``["ok", DOCUMENT]`` or ``["refused", TEXT]``.
"""

import json
import sys
from pathlib import Path

from engine.cluster import membership
from engine.cluster.etcd.http import Connection
from engine.errors import EngineError

PATIENCE = 15.0


def ask(root, url, name, path, body):
    try:
        connection = Connection(url, lambda: membership.node_context(root), PATIENCE, name)
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
