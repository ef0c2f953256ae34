"""TAB in bash, zsh and fish.

If only one word is possible, TAB adds this word. Otherwise TAB lists the possible words.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import until

# Each entry: a line, and the line after TAB. The test types Z after TAB, so that blanks at the end are visible.
COMPLETED = [
    # The words here are commands, aliases of commands, and global flags.
    ("hawse netw", "hawse network Z"),
    ("hawse network li", "hawse network list Z"),
    ("hawse network ver", "hawse network verify Z"),
    ("hawse --context ", "hawse --context default Z"),
    ("hawse -c default netw", "hawse -c default network Z"),
    ("hawse --log-level debug -D netw", "hawse --log-level debug -D network Z"),
    ("hawse --log-level=deb", "hawse --log-level=debug Z"),
    # The words here are flags and their values, in every notation.
    ("hawse network create --attach", "hawse network create --attachable Z"),
    ("hawse network create -d macv", "hawse network create -d macvlan Z"),
    ("hawse network create --driver=macv", "hawse network create --driver=macvlan Z"),
    ("hawse network create -dmacvlan -omacvlan_mode=v", "hawse network create -dmacvlan -omacvlan_mode=vepa Z"),
    ("hawse network create -o com.docker.network.bridge.enable_ic",
     "hawse network create -o com.docker.network.bridge.enable_icc=Z"),
    ("hawse network create -o com.docker.network.bridge.enable_icc=t",
     "hawse network create -o com.docker.network.bridge.enable_icc=true Z"),
    ("hawse network create --opt=com.docker.network.bridge.gateway_mode_ipv4=rou",
     "hawse network create --opt=com.docker.network.bridge.gateway_mode_ipv4=routed Z"),
    ("hawse ps --filter status=ex", "hawse ps --filter status=exited Z"),
    ("hawse ps --filter label=ro", "hawse ps --filter label=role=front Z"),
    ("hawse ps --format '{{.Na", "hawse ps --format '{{.Names}}' Z"),
    ("hawse run --restart un", "hawse run --restart unless-stopped Z"),
    ("hawse run --cap-add NET_ADM", "hawse run --cap-add NET_ADMIN Z"),
    ("hawse run -e HAWSE_RO", "hawse run -e HAWSE_ROOT Z"),
    ("hawse kill -s SIGT", "hawse kill -s SIGTERM Z"),
    ("hawse logs -fn al", "hawse logs -fn all Z"),
    ("hawse exec -itw", "hawse exec -itwZ"),
    ("hawse run -dite HAWSE_RO", "hawse run -dite HAWSE_ROOT Z"),
    ("hawse run -ditp ", "hawse run -ditp Z"),
    ("hawse inspect --type=net", "hawse inspect --type=network Z"),
    # The words here are networks and containers; TAB offers only those that the command accepts.
    ("hawse network inspect ap", "hawse network inspect app Z"),
    ("hawse network create --config-from ", "hawse network create --config-from settings Z"),
    ("hawse network connect back o", "hawse network connect back old Z"),
    ("hawse network disconnect app ", "hawse network disconnect app web Z"),
    ("hawse network disconnect -f bridge ", "hawse network disconnect -f bridge old Z"),
    ("hawse run --network=container:w", "hawse run --network=container:web Z"),
    ("hawse run --rm -it --network ap", "hawse run --rm -it --network app Z"),
    ("hawse start ", "hawse start old Z"),
    ("hawse stop web ", "hawse stop web db Z"),
    ("hawse rm -- o", "hawse rm -- old Z"),
    ("hawse port web 5", "hawse port web 53/udp Z"),
    ("hawse trace ho", "hawse trace host Z"),
    ("hawse trace outside:l", "hawse trace outside:lo Z"),
    ("hawse trace web pub", "hawse trace web published:Z"),
    # The words here are images and files.
    ("hawse run -d --name x ho", "hawse run -d --name x hostfs Z"),
    ("hawse run registry.test:5", "hawse run registry.test:5000/team/app:1.0 Z"),
    ("hawse run --env-file sett", "hawse run --env-file settings.env Z"),
    ("hawse run -itd --cidfile sett", "hawse run -itd --cidfile settings.env Z"),
    ("hawse run --mount type=bind,source=sett", "hawse run --mount type=bind,source=settings.env Z"),
    ("hawse import sett", "hawse import settings.env Z"),
    # TAB completes a command inside the container in the same way as a command at the beginning of a line.
    ("hawse run hostfs hawse-prog", "hawse run hostfs hawse-program Z"),
    ("hawse exec web cat sett", "hawse exec web cat settings.env Z"),
    # The names here are unusual or contain quotes.
    ("hawse network inspect od", "hawse network inspect odd\\ name:\\ of/ünï Z"),
    ("hawse network inspect odd\\ na", "hawse network inspect odd\\ name:\\ of/ünï Z"),
    ('hawse network inspect "od', 'hawse network inspect "odd name: of/ünï" Z'),
    ("hawse network inspect 'od", "hawse network inspect 'odd name: of/ünï' Z"),
    ('hawse network create -o "com.docker.network.bridge.enable_icc=f',
     'hawse network create -o "com.docker.network.bridge.enable_icc=false" Z'),
    # TAB offers nothing for these lines: no file names, no guesses, and no flags of hawse in a command that runs inside
    # a container.
    ("hawse network inspect zzz", "hawse network inspect zzzZ"),
    ("hawse network create sett", "hawse network create settZ"),
    ("hawse run hostfs --netw", "hawse run hostfs --netwZ"),
    ("hawse version ", "hawse version Z"),
    ("hawse network disconnect app web ", "hawse network disconnect app web Z"),
    ("hawse nosuch netw", "hawse nosuch netwZ"),
]  # fmt: skip

# Each entry: a line, words that TAB must list, and words that TAB must not list.
OFFERED = [
    ("hawse ", ["network", "run", "port"], ["__exited", "__complete", "help "]),
    ("hawse network ", ["connect", "disconnect", "prune"], ["list", "remove"]),
    ("hawse network create --", ["--driver", "--subnet", "--ipv4", "--help"], ["--force"]),
    ("hawse run --net", ["--network", "--network-alias"], ["--net-alias"]),
    ("hawse network create -d macvlan -o ", ["macvlan_mode=", "parent="], ["enable_icc", "ipvlan_mode"]),
    ("hawse network create -o ", ["com.docker.network.bridge.name="], ["parent="]),
    ("hawse network ls -f ", ["dangling=", "driver=", "scope="], ["status="]),
    ("hawse ps --format ", ["{{.Names}}", "json"], ["\\{"]),
    ("hawse network rm ", ["app", "back"], ["host", "none"]),
    ("hawse network disconnect ", ["app", "back", "bridge"], ["settings", "odd"]),
    ("hawse network disconnect back ", ["web", "db"], ["old"]),
    ("hawse network connect app ", ["db", "old"], ["web"]),
    ("hawse exec ", ["web", "db"], ["old"]),
    ("hawse port web ", ["53/udp", "80/tcp"], []),
    ("hawse run --network ", ["host", "none", "container:", "app"], ["settings"]),
    ("hawse trace ", ["host", "outside", "netns:", "pid:", "web"], ["old", "settings"]),
]


@pytest.mark.parametrize(("line", "expected"), COMPLETED, ids=lambda text: text)
def test_tab_completes_the_line(shell, line, expected):
    assert shell.completed(line, expected) == expected


@pytest.mark.parametrize(("line", "words", "others"), OFFERED, ids=lambda text: text if isinstance(text, str) else "")
def test_tab_lists_only_what_is_valid(shell, line, words, others):
    screen = shell.offered(line, *words)
    assert [word for word in words if word not in screen] == []
    assert [word for word in others if word in screen] == []


@pytest.mark.parametrize(
    ("line", "description"),
    [
        ("hawse ", "Manage networks"),
        ("hawse network create --", "Restrict external access"),
        ("hawse network create -d ", "Networks across hosts"),
        ("hawse network create -o com.docker.network.bridge.", "Let containers reach each other"),
        ("hawse network connect app ", "The namespace of a process"),
        ("hawse network inspect ", "bridge 172.24.0.0/16"),
        ("hawse exec ", "hostfs running"),
    ],
)
def test_zsh_and_fish_show_descriptions_and_bash_does_not(shell, line, description):
    shown = shell.offered(line, *([] if shell.name == "bash" else [description]))
    assert (description in shown) == (shell.name != "bash")


def test_a_process_of_another_namespace_is_offered_by_its_pid(shell):
    process = subprocess.Popen(["unshare", "-rn", "sleep", "60"])
    try:
        until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
        line = f"hawse network connect app pid:{process.pid}"
        assert shell.completed(line, f"{line} Z") == f"{line} Z"
    finally:
        process.kill()
        process.wait()


def test_disconnect_offers_the_networks_of_the_container_behind_the_cursor(shell):
    # The cursor (Z) is before the blank of " db". The shells differ in the blanks that they leave around the cursor.
    spaced = [f"hawse network disconnect back{end}" for end in (" Z db", "Z db", " Zdb")]
    assert shell.completed("hawse network disconnect  db", *spaced, left=len(" db")) in spaced


def test_zsh_puts_a_template_into_quotes(started, directory):
    shell = started("zsh", directory)
    assert shell.completed("hawse network inspect -f '{{json .C", "hawse network inspect -f '{{json .Containers}}' Z")
    screen = shell.offered("hawse ps --format=", "'{{.Names}}'")
    assert "'{{.Names}}'" in screen


@pytest.mark.parametrize("start", ["--format ", "--format="])
def test_zsh_and_fish_complete_a_template_without_quotes(started, directory, start):
    """zsh accepts a template without quotes. For fish, hawse adds quotes, because fish refuses unquoted
    closing braces.
    """
    for name, template in (("zsh", "{{.Names}}"), ("fish", "'{{.Names}}'")):
        expected = f"hawse ps {start}{template} Z"
        assert started(name, directory).completed(f"hawse ps {start}{{{{.Na", expected) == expected


def test_fish_puts_a_template_with_several_ends_into_quotes(started, directory):
    shell = started("fish", directory)
    expected = "hawse network inspect -f '{{json .Z"
    assert shell.completed("hawse network inspect -f {{json .", expected) == expected
    assert "'{{json .Containers}}'" not in shell.offered("hawse network inspect -f '{{json .", "{{json .Containers}}")


def test_fish_opens_a_quote_for_a_value_that_may_become_a_template(started, directory):
    shell = started("fish", directory)
    shell.offered("hawse ps --format ", "{{.Names}}")
    shell.keys("-l", "{{.Nam")
    shell.keys("Tab")
    expected = "$ hawse ps --format '{{.Names}}'"
    assert expected in shell.wait_for(lambda text: expected in text)


def test_bash_puts_a_template_into_quotes(started, directory):
    shell = started("bash", directory)
    for start in ("--format {{.Na", "--format=", "--format "):
        expected = f"hawse ps {start.removesuffix('{{.Na')}'{{{{.Names}}}}' Z"
        line = f"hawse ps {start.removesuffix('{{.Na')}{{{{.Na"
        assert shell.completed(line, expected) == expected


@pytest.mark.parametrize("package", [False, True])
def test_bash_completes_docker_where_it_is_an_alias(started, directory, package):
    """Where docker is not an alias, bash keeps the completion that another program has set for docker."""
    shell = started("bash", directory, package=package)
    shell.keys("-l", "alias docker=hawse")
    shell.keys("Enter")
    assert (
        shell.completed("docker network inspect ap", "docker network inspect app Z") == "docker network inspect app Z"
    )
    other = started("bash", directory, package=package)
    other.keys("-l", "_other() { COMPREPLY=(other); }; complete -F _other docker; . completions/hawse.bash")
    other.keys("Enter")
    assert other.completed("docker network inspect x", "docker network inspect other Z").endswith("inspect other Z")


def test_fish_completes_docker_by_hawse_alone_where_it_is_an_alias(started, directory):
    """Where docker is not an alias, fish keeps the completion that another program has set for docker."""
    expected = {"alias": "docker network inspect app Z", "no alias": "docker network inspect apricot Z"}
    for case, line in expected.items():
        shell = started("fish", directory)
        alias = "alias docker=hawse; " if case == "alias" else ""
        shell.keys("-l", f"complete -c docker -xa apricot; {alias}source completions/hawse.fish; clear")
        shell.keys("Enter")
        shell.wait_for(lambda text: text.strip() == "$")
        assert shell.completed("docker network inspect ap", line) == line
