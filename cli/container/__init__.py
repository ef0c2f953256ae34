"""The commands of ``hawse container``, one per file; most of these commands are top-level commands of ``hawse`` too."""

from cli.pflag import Group

container = Group(
    "container",
    {
        "attach": "cli.container.attach:attach",
        "create": "cli.container.create:create",
        "exec": "cli.container.exec:exec_",
        "inspect": "cli.container.inspect:inspect",
        "kill": "cli.container.kill:kill",
        "list": "cli.container.ls:ls",
        "logs": "cli.container.logs:logs",
        "ls": "cli.container.ls:ls",
        "port": "cli.port:port",
        "prune": "cli.container.prune:prune",
        "ps": "cli.container.ls:ls",
        "publish": "cli.container.publish:publish",
        "remove": "cli.container.rm:rm",
        "rename": "cli.container.rename:rename",
        "restart": "cli.container.restart:restart",
        "rm": "cli.container.rm:rm",
        "run": "cli.container.run:run",
        "start": "cli.container.start:start",
        "stats": "cli.container.stats:stats",
        "stop": "cli.container.stop:stop",
        "top": "cli.container.top:top",
        "unpublish": "cli.container.unpublish:unpublish",
        "wait": "cli.container.wait:wait",
    },
    help="Manage containers",
)
