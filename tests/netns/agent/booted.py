"""A machine that a real systemd boots: a container of Linux namespaces on a changed copy of this machine's files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import until
from tests.installation import CHECKOUT

UNNEEDED = ["systemd-udevd", "systemd-udev-trigger", "systemd-timesyncd", "systemd-sysctl", "systemd-modules-load"]
"""Units that would change this machine, because its kernel has no namespaces for what they change."""
BOUNDED = ("setpriv", "--bounding-set", "-sys_time,-sys_module")
"""The words that run a command without the capabilities that would change this machine's clock and kernel."""
PREPARE = """
cd "$0"/etc/systemd/system; rm -rf -- *.wants *.requires hawse*
for unit in "$@"; do ln -sf /dev/null "$unit.service"; done
ln -sf /dev/null tmp.mount  # the checkout may be below /tmp
ln -sf /lib/systemd/system/multi-user.target default.target
: > ../../fstab; echo 11111111222233334444555555555555 > ../../machine-id
rm -rf ../../../var/lib/hawse
"""
ENTER = """
mkdir -p "$0/cgroups"; mount -t cgroup2 cgroup2 "$0/cgroups"
mkdir -p "$0/cgroups/$1"; echo $$ > "$0/cgroups/$1/cgroup.procs"
shift; exec unshare "$@"
"""
BOOT = """
cd "$0"; mount -t proc proc proc; mount -t sysfs sysfs sys; mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs dev -o mode=755; mount -t tmpfs tmpfs run
for device in null zero full random urandom tty; do cp -a /dev/$device dev/; done
mkdir dev/pts dev/shm; mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
mknod dev/console c 1 3  # a device file of its own, because systemd changes the console's owner and mode
mount --bind proc/sys proc/sys; mount --bind proc/sys/net proc/sys/net; mount -o remount,bind,ro proc/sys
hostname booted; pivot_root . mnt; umount -l mnt; mount -o remount,bind,ro /sys; ip link set lo up
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@" \
    /lib/systemd/systemd systemd.log_target=null > /dev/null 2>&1 < /dev/null
"""


class Machine:
    """A machine with the files below ``place``. The files stay after a power-off; processes and /run end."""

    def __init__(self, place: Path) -> None:
        self._root, self._pid, self._group = place / "root", 0, f"hawse-booted-{os.getpid()}"
        layers = f"lowerdir=/,upperdir={place}/upper,workdir={place}/work"
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
        for name in ("upper", "work", "root"):
            (place / name).mkdir()
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self._root], check=True)
        subprocess.run(["sh", "-ec", PREPARE, self._root, *UNNEEDED], check=True)

    def boot(self) -> None:
        """Start systemd as PID 1, and wait until it accepts commands."""
        namespaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
        enter = ["sh", "-ec", ENTER, self._root.parent, self._group]  # systemd sees only this control group
        self._outer = subprocess.Popen([*enter, *namespaces, "sh", "-ec", BOOT, self._root, *BOUNDED])
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        self._pid = int(until(lambda: self._is_unshare() and children.read_text()))
        until(lambda: self.run("systemctl", "list-jobs", check=False).returncode == 0, 30)

    def _is_unshare(self) -> bool:
        return Path(f"/proc/{self._outer.pid}/comm").read_text() == "unshare\n"

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine."""
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        entered = ["nsenter", "-t", str(self._pid), "--all", *BOUNDED, *command]
        done = subprocess.run(entered, capture_output=True, text=True, timeout=90, env=environment, cwd="/")
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def hawse(self, *argv: str) -> str:
        """Run a hawse command in the machine, and return its output."""
        script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from cli.launcher.launch import main; main()"
        return self.run(sys.executable, "-I", "-S", "-X", "utf8", "-c", script, str(CHECKOUT), *argv).stdout

    def are_active(self, *units: str) -> bool:
        """Return whether all these units of systemd are active."""
        return set(self.run("systemctl", "is-active", *units, check=False).stdout.split()) == {"active"}

    def power_off(self) -> float:
        """Let systemd end everything, and return the seconds that this took."""
        began = time.monotonic()
        self.run("systemctl", "poweroff", check=False)
        self._outer.wait(120)
        return time.monotonic() - began

    def crash(self) -> None:
        """End everything at once, as a power cut does."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._outer.wait(30)

    def close(self) -> None:
        """End everything and delete the machine's files."""
        if self._outer.poll() is None:
            self.crash()
        place = self._root.parent
        subprocess.run(["find", place / "cgroups" / self._group, "-depth", "-type", "d", "-delete"], check=True)
        subprocess.run(["umount", "--recursive", place], check=True)
