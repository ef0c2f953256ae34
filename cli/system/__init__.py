"""The commands about hawse itself: version, info, help, and the plumbing that other parts of hawse call."""

from cli.pflag import Group

system = Group("system", {"info": "cli.system.info:info"}, help="Manage hawse", short_help="Manage hawse")
