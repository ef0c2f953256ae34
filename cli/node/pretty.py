"""Convert a node's document to readable text, in the layout of Docker's ``node inspect --pretty``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cli.network.ls import created_at
from engine.golang.units import binary_size


def text(document: dict[str, Any], protected: Callable[[Any], Any]) -> str:
    """Return one node's document as readable text.

    ``protected`` is the method `App.protected`, which marks control characters. `App.out_rendered` later prints an
    escape sequence for each mark. Line breaks in the document are marked too, except in the certificate.
    """
    trust_root = document["Description"]["TLSInfo"]["TrustRoot"].split("\n")
    document = protected(document)
    about = document["Description"]
    return "\n".join([*_identity(document), *_resources(about), *_trust(about, map(protected, trust_root))]) + "\n"


def _identity(document: dict[str, Any]) -> list[str]:
    """Return the lines about the node itself and, for a manager, the lines about its status as a manager."""
    lines = [
        f"ID:\t\t\t{document['ID']}",
        f"Hostname:              \t{document['Description']['Hostname']}",
        f"Joined at:             \t{created_at(document['CreatedAt']).lower()}",
        "Status:",
        f" State:\t\t\t{document['Status']['State'].capitalize()}",
        f" Availability:         \t{document['Spec']['Availability'].capitalize()}",
        f" Address:\t\t{document['Status']['Addr']}",
    ]
    manager = document.get("ManagerStatus")
    if manager:
        lines += [
            "Manager Status:",
            f" Address:\t\t{manager['Addr']}",
            f" Raft Status:\t\t{manager['Reachability'].capitalize()}",
            f" Leader:\t\t{'Yes' if manager.get('Leader') else 'No'}",
        ]
    return lines


def _resources(about: dict[str, Any]) -> list[str]:
    plugins = ", ".join(p["Name"] for p in about["Engine"]["Plugins"])
    return [
        "Platform:",
        f" Operating System:\t{about['Platform']['OS']}",
        f" Architecture:\t\t{about['Platform']['Architecture']}",
        "Resources:",
        f" CPUs:\t\t\t{about['Resources']['NanoCPUs'] // 10**9}",
        f" Memory:\t\t{binary_size(about['Resources']['MemoryBytes'])}",
        "Plugins:",
        f" Network:\t\t{plugins}",
        f"Engine Version:\t\t{about['Engine']['EngineVersion']}",
    ]


def _trust(about: dict[str, Any], trust_root: Iterable[str]) -> list[str]:
    return [
        "TLS Info:",
        " TrustRoot:",
        *trust_root,
        f" Issuer Subject:\t{about['TLSInfo']['CertIssuerSubject']}",
        f" Issuer Public Key:\t{about['TLSInfo']['CertIssuerPublicKey']}",
    ]
