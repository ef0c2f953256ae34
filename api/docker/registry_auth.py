"""Read the header ``X-Registry-Auth``: the credentials that a client sends with a pull."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from api.docker.errors import bad_request
from api.docker.fields import Fields


def registry_auth(header: str, domain: str) -> dict[str, Any]:
    """Return the credentials as the content of a docker ``config.json``, or {} without any; raises ApiError (400)."""
    if not header:
        return {}
    try:
        document = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)) or b"{}")
    except (ValueError, binascii.Error):
        raise bad_request("invalid X-Registry-Auth header: invalid JSON") from None
    fields = Fields(document if isinstance(document, dict) else {}, "registry.AuthConfig")
    entry: dict[str, str] = {}
    if fields.text("identitytoken"):
        entry["identitytoken"] = fields.text("identitytoken")
    if fields.text("username"):
        pair = f"{fields.text('username')}:{fields.text('password')}"
        entry["auth"] = base64.b64encode(pair.encode("utf-8", "surrogateescape")).decode()
    elif fields.text("auth"):
        entry["auth"] = fields.text("auth")
    return {"auths": {domain: entry}} if entry else {}
