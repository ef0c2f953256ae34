"""Translate the drivers' netlink messages into equivalent shell commands, for ``--explain`` and ``--dry-run``.

`drivers.explain.recorder` (``--explain``) and `drivers.explain.dry_run` (``--dry-run``) collect the commands. The
modules `links`, `routes` and `netfilter` translate the messages about one kind of object each.
"""
