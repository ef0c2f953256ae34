"""Read the header ``X-Registry-Auth``: the credentials that a client sends with a pull."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

from api.docker.errors import ApiError
from api.docker.fields import Fields


def registry_auth(header: str, domain: str) -> dict[str, Any]:
    """Return the credentials as the content of a docker ``config.json``, or {} without any.

    As with Docker, a header that is not valid counts as no credentials.
    """
    entry: dict[str, str] = {}
    with suppress(ValueError, ApiError):
        document = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)) or b"{}")
        fields = Fields(document if isinstance(document, dict) else {}, "registry.AuthConfig")
        if fields.text("username"):
            pair = f"{fields.text('username')}:{fields.text('password')}"
            entry["auth"] = base64.b64encode(pair.encode("utf-8", "replace")).decode()
        elif fields.text("auth"):
            entry["auth"] = fields.text("auth")
        if fields.text("identitytoken"):
            entry["identitytoken"] = fields.text("identitytoken")
    return {"auths": {domain: entry}} if entry else {}
