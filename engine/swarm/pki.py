"""The cluster's own certificate authority.

The authority issues two kinds of certificate, so that no worker can act as a manager.

A *node* certificate names the node and is only for clients. A *manager* certificate is also for servers: the manager's
server and the manager's etcd member. A manager certificate contains the host's addresses and the name
`keys.MANAGER_NAME`, which hosts and etcd members check. Each private key stays on the host that made the key. Only the
authority's key is copied, to every manager.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine.config import number_from_environment

AUTHORITY_LIFETIME = timedelta(days=20 * 365)
LIFETIME = 14 * 86400
"""Seconds for which a host's certificate is valid (14 days); HAWSE_CERTIFICATE_LIFETIME overrides this time.

A host renews its certificate after half of this time. Therefore a host that is off for up to a week still has a valid
certificate.
"""
TOLERANCE = timedelta(days=1)
"""The validity of a certificate begins this long before its issue, because the clock of a host may be wrong.

The usual error at a boot is a hardware clock in local time, which differs from UTC by up to 14 hours.
"""


def lifetime() -> int:
    """Return the lifetime of a certificate in seconds: HAWSE_CERTIFICATE_LIFETIME (at least 2), or else `LIFETIME`."""
    return max(2, number_from_environment("HAWSE_CERTIFICATE_LIFETIME", LIFETIME))


def new_key() -> str:
    """Return a new private key (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def new_authority(key: str) -> str:
    """Return the self-signed certificate (PEM) of a new certificate authority with the private key ``key`` (PEM)."""
    name = _name("hawse-ca")
    private = _private(key)
    builder = _builder(name, private.public_key(), AUTHORITY_LIFETIME).issuer_name(name)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def request(key: str) -> str:
    """Return a certificate signing request for the private key ``key`` (both PEM).

    The certificate authority ignores the request's subject.
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name("hawse"))
    return builder.sign(_private(key), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def issue(authority: str, authority_key: str, pem: str, name: str, addresses: Sequence[str] = ()) -> str:
    """Return a certificate for the certificate request ``pem``; raises ValueError for an invalid request.

    ``authority`` and ``authority_key`` are the authority's certificate and private key; all texts are PEM. The request
    must be signed by its own key. With ``addresses``, the certificate is a manager certificate for these addresses, and
    ``name`` is `keys.MANAGER_NAME`. Otherwise, it is a client certificate, and ``name`` is the node id.
    """
    csr = x509.load_pem_x509_csr(pem.encode())
    if not csr.is_signature_valid:
        raise ValueError("the request is not signed by its own key")
    issuer = x509.load_pem_x509_certificate(authority.encode())
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if addresses else [])]
    # Because etcd's gateway refuses a client certificate with a common name, client certificates have none. (The
    # gateway cannot authenticate users by common name.)
    subject = _name(name) if addresses else _name(name, NameOID.SERIAL_NUMBER)
    builder = _builder(subject, csr.public_key(), timedelta(seconds=lifetime())).issuer_name(issuer.subject)
    signer: ec.EllipticCurvePublicKey = issuer.public_key()  # type: ignore[assignment]  # `new_key` makes only EC keys
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    if addresses:
        names = [x509.DNSName(name), *(x509.IPAddress(ip_address(a)) for a in addresses)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(_private(authority_key), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def is_fresh(certificate: str, now: datetime) -> bool:
    """Return whether a certificate (PEM) is valid at the time ``now`` and in the first half of its lifetime.

    The lifetime begins at the issue of the certificate, not at the earlier start of its validity (`TOLERANCE`).
    """
    parsed = x509.load_pem_x509_certificate(certificate.encode())
    first, last = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    issued = first + TOLERANCE
    return first <= now < issued + (last - issued) / 2


def describe(certificate: str) -> tuple[bytes, bytes]:
    """Return the subject and the public key of a certificate (PEM), both in DER."""
    parsed = x509.load_pem_x509_certificate(certificate.encode())
    public = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return parsed.subject.public_bytes(), public


def new_tunnel_key() -> tuple[str, str]:
    """Return a new WireGuard key pair: the private key and the public key, both in base64."""
    private = b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode()
    return private, public_tunnel_key(private)


def public_tunnel_key(private: str) -> str:
    """Return the public key of a WireGuard private key, both in base64."""
    key = X25519PrivateKey.from_private_bytes(b64decode(private))
    return b64encode(key.public_key().public_bytes_raw()).decode()


def _private(key: str) -> ec.EllipticCurvePrivateKey:
    loaded = load_pem_private_key(key.encode(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return loaded


def _name(text: str, kind: x509.ObjectIdentifier = NameOID.COMMON_NAME) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, text)])


def _builder(subject: x509.Name, public: object, lives: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - TOLERANCE).not_valid_after(now + lives)
    builder = builder.public_key(public)  # type: ignore[arg-type]  # any kind of public key
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)  # type: ignore[arg-type]
    return builder.add_extension(identifier, critical=False)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
