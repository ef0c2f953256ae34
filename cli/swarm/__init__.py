"""The commands of ``hawse swarm``, one per file."""

from cli.pflag import Group

swarm = Group(
    "swarm",
    {
        "init": "cli.swarm.init:init",
        "join": "cli.swarm.join:join",
        "join-token": "cli.swarm.join_token:join_token",
        "leave": "cli.swarm.leave:leave",
    },
    help="Manage Swarm",
)
