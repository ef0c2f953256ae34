"""The commands about hawse itself: version, info, help, systemd units, and hidden commands that only hawse calls."""

from cli.pflag import Group

COMMANDS = {
    "info": "cli.system.info:info",
    "install": "cli.system.install:install",
    "uninstall": "cli.system.uninstall:uninstall",
}

system = Group("system", COMMANDS, help="Manage hawse", short_help="Manage hawse")
