"""The commands about hawse itself: version, info, help, units, and the plumbing that other parts of hawse call."""

from cli.pflag import Group

COMMANDS = {
    "info": "cli.system.info:info",
    "install": "cli.system.install:install",
    "uninstall": "cli.system.uninstall:uninstall",
}

system = Group("system", COMMANDS, help="Manage hawse", short_help="Manage hawse")
