"""Read the credentials for registries from the ``config.json`` of docker, where ``docker login`` stores them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

CONFIG_LIMIT_BYTES = 1 << 20


def registry_credentials(environ: Mapping[str, str], domain: str) -> dict[str, Any]:
    """Return docker's credentials for registries: a dict with the keys auths and credHelpers; {} if there is no file.

    The file is config.json in DOCKER_CONFIG or in ``HOME/.docker``, both from ``environ``. ``domain`` is the registry
    of the command's image. The file's ``credsStore`` names a credential program for all registries. In the result, this
    program is the entry of ``domain`` in credHelpers, unless the file has another entry for ``domain``. Raises
    ValueError if the file cannot be read or parsed.
    """
    directory = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".docker")
    path = os.path.join(directory, "config.json")
    try:
        with open(path, "rb") as file:
            config = json.loads(file.read(CONFIG_LIMIT_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"Error loading config file: {path}: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"Error loading config file: {path}: expected an object")
    helpers = dict(_object(config, "credHelpers", path))
    if config.get("credsStore"):
        helpers.setdefault(domain, config["credsStore"])
    return {"auths": _object(config, "auths", path), "credHelpers": helpers}


def _object(config: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise ValueError(f"Error loading config file: {path}: {key}: expected an object")
    return value
