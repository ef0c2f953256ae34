"""The commands of ``hawse image``, one per file."""

from cli.pflag import Group

image = Group(
    "image",
    {
        "import": "cli.image.import_:import_",
        "inspect": "cli.image.inspect:inspect",
        "list": "cli.image.ls:ls",
        "load": "cli.image.load:load",
        "ls": "cli.image.ls:ls",
        "prune": "cli.image.prune:prune",
        "pull": "cli.image.pull:pull",
        "remove": "cli.image.rm:rm",
        "rm": "cli.image.rm:rm",
        "save": "cli.image.save:save",
        "tag": "cli.image.tag:tag",
    },
    help="Manage images",
)
