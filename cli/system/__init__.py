"""The commands about hawse itself: version, info, help, systemd units, and the hidden commands that hawse's own
processes run.
"""

from cli.pflag import Group

system = Group(
    "system",
    {
        "boot": "cli.system.boot:boot",
        "check": "cli.system.check:check",
        "df": "cli.system.df:df",
        "events": "cli.system.events:events",
        "info": "cli.system.info:info",
        "install": "cli.system.install:install",
        "prune": "cli.system.prune:prune",
        "service": "cli.system.service:service",
        "shutdown": "cli.system.shutdown:shutdown",
        "uninstall": "cli.system.uninstall:uninstall",
    },
    help="Manage hawse",
)
