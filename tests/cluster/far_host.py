"""Inject faults for ``hawse trace`` into the host at the other end of an overlay network."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

from drivers.linux import persistent_netns

ATTEMPTS = 5
"""Maximum number of traces until the other host answers in time."""


def trace(host, *argv):
    began = time.monotonic()
    done = host.hawse("trace", "--format", "json", *argv, check=False)
    assert done.stdout, done.stderr
    return {**json.loads(done.stdout), "seconds": time.monotonic() - began}


def inside(host, script, name="app"):
    """Run a script in the namespace of an overlay network on a host."""
    network = host.hawse("network", "inspect", "-f", "{{slice .Id 0 12}}", name).stdout.strip()
    path = persistent_netns.netns_path(host.run_dir / "overlay" / network)
    return host.run("nsenter", f"--net={path}", "sh", "-ec", script)


def was_answered(traced):
    """Return whether the trace ``traced`` has an answer of the agent on the other host."""
    return not any("gives no answer" in hop["detail"] for hop in traced["hops"])


class FarHost:
    """The host ``a`` with the container ``web``. Tests inject faults here, and trace from the container ``box`` on
    ``b``.
    """

    def __init__(self, a, b):
        self.host, self.near = a, b
        self.web = a.hawse("inspect", "-f", "{{.State.Pid}}", "web").stdout.strip()
        near_end, other = (
            json.loads(host.hawse("inspect", name).stdout)[0]["NetworkSettings"]["Networks"]["app"]
            for host, name in ((a, "web"), (b, "box"))
        )
        vni = inside(a, "ip -d link show vxlan0").stdout.partition("vxlan id ")[2].split()[0]
        port = f"veth{near_end['EndpointID'][:7]}"
        self.known = {
            "port": port,
            "mac": other["MacAddress"],
            "own": near_end["MacAddress"],
            "box": b.underlay,
            "vni": int(vni),
        }

    @contextmanager
    def fault(self, place, script, undo):
        """Inject a fault for a ``with`` block: run ``script`` at the beginning and ``undo`` at the end.

        Both run in the namespace that ``place`` names: "host", "web" (the container) or "net" (the overlay network).
        """
        self.run(place, script)
        try:
            yield
        finally:
            self.run(place, undo)

    def run(self, place, script):
        script = script.format(**self.known)
        if place == "net":
            inside(self.host, script)
        else:
            enter = ("nsenter", "-t", self.web, "-n") if place == "web" else ()
            self.host.run(*enter, "sh", "-ec", script)

    def trace(self, *argv):
        """Trace from ``b``, and again if ``a`` did not answer in time, because the machine may be busy."""
        for _ in range(ATTEMPTS):
            traced = trace(self.near, *argv)
            if was_answered(traced):
                break
        return traced

    def names(self, hop):
        """Return whether a hop or a culprit is on ``a``."""
        return f"({self.host.underlay})" in hop["where"]
