"""The commands of ``hawse image``, one per file."""

from cli.pflag import Group

image = Group(
    "image",
    {
        "import": "cli.image.import_:import_",
        "inspect": "cli.image.inspect:inspect",
        "list": "cli.image.ls:ls",
        "ls": "cli.image.ls:ls",
        "remove": "cli.image.rm:rm",
        "rm": "cli.image.rm:rm",
    },
    help="Manage images",
    short_help="Manage images",
)
