"""The commands of ``hawse node``, one per file."""

from cli.pflag import Group

node = Group(
    "node",
    {
        "inspect": "cli.node.inspect:inspect",
        "list": "cli.node.ls:ls",
        "ls": "cli.node.ls:ls",
        "remove": "cli.node.rm:rm",
        "rm": "cli.node.rm:rm",
    },
    help="Manage Swarm nodes",
)
