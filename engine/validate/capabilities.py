"""Names of Linux capabilities (capabilities(7)) as --cap-add and --cap-drop take them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import InvalidArgument

ALL = "ALL"
NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
KNOWN = frozenset(f"CAP_{name}" for name in NAMES.split())


def check_capabilities(field: str, names: Sequence[str] | None) -> None:
    """Refuse unknown capabilities; ``field`` is CapAdd or CapDrop."""
    for name in names or ():
        full = name.upper() if name.upper().startswith("CAP_") else f"CAP_{name.upper()}"
        if name.upper() != ALL and full not in KNOWN:
            raise InvalidArgument(f'invalid {field}: unknown capability: "{full}"')
