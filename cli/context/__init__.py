"""The commands of ``hawse context``, one per file. There is one context, ``default``, which is this host."""

from cli.pflag import Group

context = Group(
    "context",
    {
        "inspect": "cli.context.inspect:inspect",
        "list": "cli.context.ls:ls",
        "ls": "cli.context.ls:ls",
        "show": "cli.context.show:show",
        "use": "cli.context.use:use",
    },
    help="Manage contexts",
)
