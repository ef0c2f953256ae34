"""Helpers: run the commands that ``--explain`` printed, in another network namespace; read a namespace's state."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.conftest import Netns

ANY_NAMESPACE = re.compile(r"(?:--net=|netns )(\S+)")
BY_AGENT = ("relay", "relay_sockets")  # sets that the agent fills later
OTHER = ("lo", "ext0")
ROUTE = ("dst", "gateway", "dev", "protocol", "scope", "prefsrc", "metric")
ROW = ("mac", "ifname", "dst", "flags", "master", "state")
LINK_DATA = ("id", "local", "port", "learning", "proxy", "mode", "mcast_snooping", "protocol")
PORT_DATA = ("hairpin", "isolated", "learning", "guard")
# route_localnet is not compared, because the agent later disables it on interfaces that no longer need it.
SYSCTLS = (
    "ipv4/conf/*/arp_notify", "ipv4/conf/*/proxy_arp_pvlan", "ipv4/conf/*/forwarding",
    "ipv4/neigh/*/proxy_delay", "ipv4/ip_unprivileged_port_start", "ipv4/ping_group_range", "ipv4/tcp_syn_retries",
    "ipv6/conf/*/accept_ra", "ipv6/conf/*/disable_ipv6", "ipv6/conf/*/ndisc_notify", "ipv6/conf/*/forwarding",
    "ipv6/conf/*/addr_gen_mode", "ipv6/conf/*/accept_dad",
)  # fmt: skip
LISTS = "ip -j -d link; ip -j address; ip -j -4 route; ip -j -6 route; bridge -j fdb; nft -j list ruleset; "
LISTS += f"grep -s . {' '.join(f'/proc/sys/net/{one}' for one in SYSCTLS)}"


def rerun(commands: str, fresh: Netns, sandboxes: dict[str, Netns], make: Any) -> None:
    """Run commands that ``--explain`` printed, but in the namespace ``fresh`` and in copies of the sandboxes.

    The path of each sandbox in the commands is replaced with the path of its copy. ``make`` creates a copy.
    ``sandboxes`` maps the paths of sandboxes to their copies; the function adds new ones.
    """
    for path in dict.fromkeys(ANY_NAMESPACE.findall(commands)):
        if path.startswith("/") and path not in sandboxes:
            sandboxes[path] = make()
            sandboxes[path].run("ip", "link", "set", "lo", "down")
    for path, other in sandboxes.items():
        commands = commands.replace(path, other.path).replace(f"exec {Path(path).name} ", f"exec {other.name} ")
    lines = [line for line in commands.splitlines(keepends=True) if not line.startswith("conntrack ")]
    fresh.sh("set -e\n" + "".join(lines))


def state(place: Netns) -> dict[str, Any]:
    """Return links, addresses, routes, sysctls and ruleset of a namespace, without random and numbered values."""
    listed, addresses, routes4, routes6, fdb, rules, *sysctls = place.run("sh", "-c", LISTS).stdout.splitlines()
    return {
        "links": links(json.loads(listed)),
        "addresses": _addresses(json.loads(addresses)),
        "routes": _routes(json.loads(routes4) + json.loads(routes6)),
        "fdb": sorted(str({k: r.get(k) for k in ROW}) for r in json.loads(fdb) if _is_made(r)),
        "sysctls": [line for line in sysctls if "/ext0/" not in line or "accept_ra" in line],
        "rules": ruleset(json.loads(rules)["nftables"]),
    }


def links(listed: list[dict[str, Any]]) -> dict[str, Any]:
    by_name = {}
    for link in listed:
        if link["ifname"] == "ext0":
            continue
        info = link.get("linkinfo", {})
        is_host_end = info.get("info_kind") == "veth" and "master" in link
        by_name[link["ifname"]] = {
            **{key: link.get(key) for key in ("mtu", "txqlen", "master", "ifalias")},
            "up": "UP" in link["flags"],
            "mac": None if is_host_end or link["ifname"].startswith("vxlan") else link.get("address"),
            "kind": info.get("info_kind"),
            "data": {key: info.get("info_data", {}).get(key) for key in LINK_DATA},
            "port": {key: info.get("info_slave_data", {}).get(key) for key in PORT_DATA},
        }
    return by_name


def _addresses(listed: list[dict[str, Any]]) -> dict[str, Any]:
    keys = ("local", "prefixlen", "broadcast", "protocol", "nodad")
    return {
        link["ifname"]: sorted(str({k: a.get(k) for k in keys}) for a in link["addr_info"])
        for link in listed
        if link["ifname"] not in OTHER
    }


def _routes(listed: list[dict[str, Any]]) -> list[str]:
    return sorted(str({key: route.get(key) for key in ROUTE}) for route in listed if route.get("dev") not in OTHER)


def _is_made(row: dict[str, Any]) -> bool:
    multicast = row["mac"].startswith(("33:33", "01:00"))
    return not multicast and bool(row.get("dst") or row.get("state") == "static")


def ruleset(listed: list[dict[str, Any]]) -> list[str]:
    """Return the rules and elements of a ruleset, without those that the agent adds later."""
    lines = []
    for item in listed:
        (kind, value), *_ = item.items()
        is_standby = "hawse_standby" in (value.get("table"), value.get("name"))
        noted = kind == "rule" and value["chain"] == "complete"
        if kind == "metainfo" or is_standby or noted or value.get("name") in BY_AGENT:
            continue
        if "elem" in value:
            value["elem"] = sorted(json.dumps(element, sort_keys=True) for element in value["elem"])
        lines.append(json.dumps({kind: {k: v for k, v in value.items() if k != "handle"}}, sort_keys=True))
    return sorted(lines)
