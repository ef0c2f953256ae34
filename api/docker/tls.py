"""TLS of the TCP listener. A service without TCP does not load this module, because `ssl` takes 1.4 MB."""

from __future__ import annotations

import ssl

from api.docker.listeners import Settings
from engine.errors import InvalidArgument


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return the TLS context, which requires a client certificate from the authority ``cacert``; raises EngineError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(settings.cacert)
        context.load_cert_chain(settings.cert, settings.key)
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"the TLS files cannot be used: {error}") from error
    return context
