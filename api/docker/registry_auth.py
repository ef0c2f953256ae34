"""Read the header ``X-Registry-Auth``: the credentials that a client sends with a pull."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

from api.docker.fields import Fields
from api.docker.request_types import AUTH_CONFIG
from engine.golang.json_text import decode


def registry_auth(header: str, domain: str) -> dict[str, Any]:
    """Return the credentials for a registry as the content of a docker ``config.json``, or {} without credentials.

    ``domain`` is the registry's domain. As with Docker, a header that is not valid counts as no credentials.
    """
    entry: dict[str, str] = {}
    with suppress(ValueError):
        document = decode(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)) or b"{}")
        fields = Fields(AUTH_CONFIG.document(document))
        if fields.text("username"):
            pair = f"{fields.text('username')}:{fields.text('password')}"
            entry["auth"] = base64.b64encode(pair.encode("utf-8", "replace")).decode()
        elif fields.text("auth"):
            entry["auth"] = fields.text("auth")
        if fields.text("identitytoken"):
            entry["identitytoken"] = fields.text("identitytoken")
    return {"auths": {domain: entry}} if entry else {}
