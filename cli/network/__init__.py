"""The commands of ``hawse network``, one per file."""

from cli.pflag import Group

network = Group(
    "network",
    {
        "connect": "cli.network.connect:connect",
        "create": "cli.network.create:create",
        "disconnect": "cli.network.disconnect:disconnect",
        "inspect": "cli.network.inspect:inspect",
        "list": "cli.network.ls:ls",
        "ls": "cli.network.ls:ls",
        "map": "cli.network.map:map_",
        "prune": "cli.network.prune:prune",
        "remove": "cli.network.rm:rm",
        "rm": "cli.network.rm:rm",
        "verify": "cli.network.verify:verify",
    },
    help="Manage networks",
)
