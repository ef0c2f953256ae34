"""Join tokens in Docker's format: ``SWMTKN-1-<digest of the CA's certificate>-<secret>``, with both parts in
base 36.
"""

from __future__ import annotations

import secrets
from hashlib import sha256

from msgspec import Struct

from engine.cluster.model import DIGITS, base36
from engine.errors import InvalidArgument

PREFIX, VERSION = "SWMTKN", "1"
DIGEST_LENGTH, SECRET_LENGTH = 50, 25


class JoinToken(Struct, frozen=True):
    """The content of a join token: the certificate authority to trust, and the secret to send to a manager.

    ``digest`` identifies the authority: the SHA-256 digest of its certificate in hexadecimal.
    """

    digest: str
    secret: str

    def __str__(self) -> str:
        return f"{PREFIX}-{VERSION}-{base36(int(self.digest, 16), DIGEST_LENGTH)}-{self.secret}"


def parse(text: str) -> JoinToken:
    """Parse a token; raises InvalidArgument with Docker's message if the token is malformed."""
    parts = text.split("-")
    if len(parts) == 4 and parts[:2] == [PREFIX, VERSION]:
        digest, secret = parts[2:]
        well_formed = len(digest) == DIGEST_LENGTH and len(secret) == SECRET_LENGTH
        if well_formed and set(digest + secret) <= set(DIGITS) and int(digest, 36) < 2**256:
            return JoinToken(f"{int(digest, 36):064x}", secret)
    raise InvalidArgument("invalid join token")


def digest_of(certificate: str) -> str:
    """Return the SHA-256 digest of a certificate (PEM) in hexadecimal, the form of ``digest`` in `JoinToken`."""
    return sha256(certificate.encode()).hexdigest()


def new_secret() -> str:
    """Return a random secret of 128 bits for a join token, in base 36."""
    return base36(secrets.randbits(128), SECRET_LENGTH)
