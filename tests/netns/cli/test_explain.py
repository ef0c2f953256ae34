"""The commands that ``--explain`` prints make the same network when they run in a fresh namespace."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.linux import process
from tests.conftest import COUNTER, Host, InstalledHost, Netns, Peer, require_root, until
from tests.netns.cli.replay import rerun, state

pytestmark = pytest.mark.netns
BRIDGE = "com.docker.network.bridge."


class Twin:
    """A host with hawse, and a namespace in which only the explained commands run."""

    def __init__(self, host: Host, fresh: Host) -> None:
        self.host, self.fresh = host, fresh
        self.sandboxes: dict[str, Netns] = {}

    def sandbox(self) -> Netns:
        return Netns(f"hwt{os.getpid()}s{next(COUNTER)}")

    def hawse(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a hawse command on the warm server."""
        return self.host.hawse(*argv, check=check, env={"HAWSE_WARM": "on"})

    def run(self, *argv: str) -> str:
        """Run a hawse command with ``--explain``, and the printed commands in ``fresh``. Return the printed text."""
        text = self.hawse("--explain", *argv).stderr
        rerun(text, self.fresh, self.sandboxes, self.sandbox)
        return text

    def check(self) -> None:
        for path in [path for path in self.sandboxes if not os.path.exists(path)]:
            self.sandboxes.pop(path).delete()  # the kernel then also deletes this sandbox's links in ``fresh``
        until(lambda: links_of(self.fresh) == links_of(self.host))
        assert state(self.fresh) == state(self.host)
        for path, copy in self.sandboxes.items():
            if os.path.exists(path):
                original = Netns.__new__(Netns)
                original.name = self.named(path)
                assert state(copy) == state(original), path

    def named(self, path: str) -> str:
        name = f"hwt{os.getpid()}o{next(COUNTER)}"
        subprocess.run(["ip", "netns", "attach", name, str(Path(path).readlink()).split("/")[2]], check=True)
        self.links.append(name)
        return name

    links: list[str] = []

    def delete(self) -> None:
        for name in self.links:
            subprocess.run(["ip", "netns", "del", name], check=True)
        for copy in self.sandboxes.values():
            copy.delete()


def links_of(place: Netns) -> list[str]:
    return sorted(place.run("ls", "/sys/class/net").stdout.split())


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    require_root()
    peer = Peer(f"hwt{os.getpid()}p{next(COUNTER)}", ipv6=True)
    names = (f"hwt{os.getpid()}h{next(COUNTER)}" for _ in range(2))
    host = InstalledHost(next(names), peer, tmp_path_factory.mktemp("h"), 1)
    fresh = Host(next(names), peer, tmp_path_factory.mktemp("h"), 2)
    both = Twin(host, fresh)
    yield both
    both.delete()
    for namespace in (host, fresh):
        namespace.delete()
    peer.delete()


def test_the_explained_commands_make_the_same_networks(twin: Twin) -> None:
    twin.run("network", "create", "app")
    twin.run(
        "network", "create", "--ipv6", "-o", f"{BRIDGE}name=hwt0", "-o", "com.docker.network.driver.mtu=1400",
        "-o", f"{BRIDGE}enable_icc=false", "-o", "com.hawse.bridge.spoof_guard=true", "guarded",
    )  # fmt: skip
    twin.run("network", "create", "--internal", "inside")
    twin.run("network", "create", "-d", "macvlan", "-o", "parent=ext0", "--subnet", "192.168.77.0/24", "wire")
    twin.check()


def test_the_explained_commands_connect_and_publish_alike(twin: Twin) -> None:
    ports = ("8080:80", "127.0.0.1:81:81", "9000-9003:9000-9003", "5353:53/udp")
    text = twin.run(
        "run", "-d", "--name", "web", "--network", "app", *(w for p in ports for w in ("-p", p)),
        "--sysctl", "net.ipv4.tcp_syn_retries=4", "hostfs", "sleep", "1000",
    )  # fmt: skip
    assert "net.ipv4.tcp_syn_retries=4" in text
    assert "any4 { tcp . 8080 : 172." in text
    assert ".route_localnet=1\n" in text
    twin.check()
    twin.run("network", "connect", "guarded", "web")
    twin.run("network", "connect", "inside", "web")
    twin.run("network", "connect", "wire", "web")
    twin.check()
    twin.run("publish", "-p", "[::1]:90:90", "web")
    twin.run("unpublish", "web", "9001/tcp")
    twin.run("network", "disconnect", "wire", "web")
    twin.run("network", "disconnect", "guarded", "web")
    twin.check()


def test_a_named_namespace_is_entered_by_its_name(twin: Twin) -> None:
    with_name = twin.sandbox()
    copy = twin.sandbox()
    try:
        text = twin.hawse("--explain", "network", "connect", "app", f"netns:{with_name.name}").stderr
        assert f"ip netns exec {with_name.name} ip address add" in text
        rerun(text, twin.fresh, {with_name.path: copy}, twin.sandbox)
        assert state(copy) == state(with_name)
        twin.run("network", "disconnect", "app", f"netns:{with_name.name}")
    finally:
        with_name.delete()
        copy.delete()


def test_the_explained_commands_remove_alike(twin: Twin) -> None:
    twin.run("rm", "-f", "web")
    twin.check()
    twin.run("network", "create", "kept")  # because hawse deletes what it shares between networks with the last one
    twin.run("network", "rm", "app", "guarded", "inside", "wire")
    twin.check()
    twin.run("network", "rm", "kept")


def test_only_commands_that_the_kernel_accepted_are_shown(twin: Twin) -> None:
    twin.host.sh("ip link add hwtx type bridge; ip link add hwty type veth peer name hwtz")
    failed = twin.hawse("network", "create", "--explain", "-o", f"{BRIDGE}name=hwty", "bad", check=False)
    assert "not a bridge" in failed.stderr
    assert "ip link add" not in failed.stderr
    assert twin.hawse("network", "ls", "--explain").stderr == "# Nothing was changed in the kernel.\n"
    assert twin.hawse("network", "ls").stderr == ""
    twin.host.sh("ip link del hwtx; ip link del hwty")


def test_a_terminal_gets_colours_and_the_warm_server_explains_too(twin: Twin) -> None:
    ours, theirs = pty.openpty()
    line = twin.host.command("--explain", "network", "create", "coloured")
    done = subprocess.run(
        line, stdout=subprocess.PIPE, stderr=theirs, env=twin.host.env(TERM="xterm", HAWSE_WARM="on"), check=True
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 20).decode()
    os.close(ours)
    assert "\x1b[" in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n")
    assert f"ip link add name br-{done.stdout.decode()[:12]} address" in plain
    twin.hawse("network", "rm", "coloured")


def without_chance(text: str) -> list[str]:
    """Return explained lines without random ids, and without the lines that depend on traffic and on the agent."""
    for pattern, name in (
        (r"\b[0-9a-f]{64}\b", "ID"),
        (r"(br-|netns/|dm-)[0-9a-f]{12}\b", r"\1ID"),
        (r"\bveth[0-9a-f]{7}\b", "vethID"),
        (r"(name br-ID|name hwt\d) address \S+", r"\1 address MAC"),
        (r"nsenter \S+ nft -f - <<'EOF'\ncreate table ip hawse_resolver.*?\nEOF\n", ""),
    ):
        text = re.sub(pattern, name, text, flags=re.DOTALL)
    by_others = (
        "conntrack",
        "#",
        "sysctl -w net.ipv4.conf.hwt1.route_localnet",
        "sysctl -w net.ipv4.conf.br-ID.route_",
    )
    return [line for line in text.splitlines() if not line.startswith(by_others)]


def records(hawse: Callable[..., subprocess.CompletedProcess[str]]) -> str:
    listing = [("network", "ls", "--no-trunc"), ("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Ports}}")]
    return "".join(hawse(*argv).stdout for argv in listing)


def test_a_dry_run_changes_nothing_and_shows_what_the_command_then_does(twin: Twin) -> None:
    host, hawse = twin.host, twin.hawse
    hawse("network", "create", "first")
    for line in (
        "network create app",
        f"network create --ipv6 -o {BRIDGE}name=hwt1 -o com.hawse.bridge.spoof_guard=true six",
        "run -d --name web --network app -p 8080:80 -p 9000-9003:9000-9003/udp hostfs sleep 1000",
        "network connect six web",
        "publish -p 127.0.0.1:90:90 web",
        "unpublish web 90/tcp",
        "network disconnect six web",
        "run -d --name two --network app --network six hostfs sleep 1000",
        "network rm first six",
    ):
        words = line.split()
        before = state(host), records(hawse)
        planned = hawse("--dry-run", *words, check="rm" not in words)
        after = state(host), records(hawse)
        assert {k: v for k, v in after[0].items() if v != before[0][k]} == {}, line
        assert after[1] == before[1], line
        assert planned.stdout == ""
        done = hawse("--explain", *words, check="rm" not in words)
        assert without_chance(planned.stderr) == without_chance(done.stderr), line
    assert not list(host.run_dir.glob("dry-run-*"))
    for name in ("web", "two"):
        link = Path("/run/netns", name)
        assert not link.is_symlink() or "dry-run" not in os.readlink(link)
    hawse("rm", "-f", "web", "two")
    hawse("network", "rm", "app", "six")


def in_order(text: str) -> list[str]:
    """Return explained lines without random ids. Set elements are sorted, because their order can differ."""
    lines = (re.fullmatch(r"(.*\{ )(.*)( \})", line) or line for line in without_chance(text))
    return [
        line if isinstance(line, str) else line[1] + ", ".join(sorted(line[2].split(", "))) + line[3] for line in lines
    ]


def test_repairs_before_the_command_are_shown_too(host: Host) -> None:
    config = host.state / "daemon.json"
    config.write_text('{"heal": false}')
    off = {"HAWSE_CONFIG": str(config), "HAWSE_WARM": "off"}
    host.hawse("network", "create", "app", env=off)
    host.hawse("run", "-d", "--name", "web", "--network", "app", "hostfs", "sleep", "1000", env=off)
    for damage, repair in (
        ("nft flush ruleset", "delete table inet hawse"),
        ("nft flush chain inet hawse complete", "nft 'add rule inet hawse complete return comment \"whole"),
    ):
        host.sh(damage)
        before = host.sh("nft list ruleset")
        planned = host.hawse("--dry-run", "publish", "-p", "127.0.0.1:90:90", "web", env=off).stderr
        assert host.sh("nft list ruleset") == before
        done = host.hawse("--explain", "publish", "-p", "127.0.0.1:90:90", "web", env=off).stderr
        assert repair in planned
        assert ".route_localnet=1" in planned
        assert in_order(planned) == in_order(done)
        assert sorted(planned.splitlines()[-2:]) == sorted(done.splitlines()[-2:])
        host.hawse("unpublish", "web", "90", env=off)


def test_the_next_dry_run_removes_what_a_killed_one_has_left(host: Host) -> None:
    line = host.command("--dry-run", "network", "create", "app")
    killed = subprocess.Popen(line, env=host.env(HAWSE_WARM="off"), stderr=subprocess.DEVNULL)
    left = until(lambda: list(host.run_dir.glob("dry-run-*")), pause=0.001)
    killed.kill()
    killed.wait()
    running = host.run_dir / f"dry-run-{process.identity()}-other"
    running.mkdir(mode=0o700)
    assert left[0].exists()
    assert left[0].stat().st_mode & 0o077 == 0
    host.hawse("--dry-run", "network", "create", "app")
    assert list(host.run_dir.glob("dry-run-*")) == [running]


def test_a_dry_run_writes_no_id_and_pulls_no_image(twin: Twin, tmp_path: Path) -> None:
    written = tmp_path / "cid"
    done = twin.hawse("--dry-run", "run", "-d", "--cidfile", str(written), "hostfs", "true")
    assert (done.stdout, written.exists()) == ("", False)
    for pull in ("missing", "always"):
        lacking = twin.hawse("--dry-run", "run", "-d", "--pull", pull, "127.0.0.1:1/nothere", "true", check=False)
        assert lacking.returncode == 125
        assert "Error response from daemon: No such image: 127.0.0.1:1/nothere" in lacking.stderr


def test_a_dry_run_is_refused_for_other_commands_and_for_commands_that_would_fail(twin: Twin) -> None:
    hawse = twin.hawse
    for words in (("rm", "-f", "web"), ("system", "uninstall"), ("network", "prune", "-f"), ("network", "ls")):
        refused = hawse("--dry-run", *words, check=False)
        assert refused.returncode == 125
        assert refused.stderr.startswith("hawse: --dry-run works with network create,")
    taken = hawse("network", "create", "--dry-run", "bridge", check=False)
    assert (taken.returncode, "operation is not permitted" in taken.stderr) == (1, True)


def test_a_dry_run_knows_which_links_the_kernel_lacks(twin: Twin) -> None:
    for options in (("-o", "parent=ext0"), ("-o", "parent=ext0.10"), ()):
        words = ("network", "create", "-d", "macvlan", *options, "--subnet", "192.168.78.0/24", "lan")
        planned, done = twin.hawse("--dry-run", *words, check=False), twin.hawse(*words, check=False)
        errors = [
            [line for line in process.stderr.splitlines() if line.startswith("Error")] for process in (planned, done)
        ]
        assert (planned.returncode, errors[0]) == (done.returncode, errors[1])
        twin.hawse("network", "rm", "-f", "lan")
