"""The parts that the soak tests of one host and of a cluster share: random commands and random faults at once."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections import Counter

COMMAND_SECONDS = 60.0  # every command must end within this time


class Soak:
    """One run. The object collects problems: the commands that crashed or did not end.

    ``workers`` maps each worker's number to the host of its commands. A subclass chooses commands (`choose`) and faults
    (`fault`). ``pauses`` has the shortest and the longest time between two faults, and ``kills`` the shortest and the
    longest time after which a command is killed, both in seconds.
    """

    def __init__(self, workers, seed, *, pauses, kills):
        self.workers, self.seed, self.pauses, self.kills = workers, seed, pauses, kills
        self.problems, self.done, self.ended = [], Counter(), threading.Event()
        self.began = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s: {text}", flush=True)

    def run(self, seconds):
        """Run commands and inject faults for this many seconds."""
        self.began = time.monotonic()
        threads = [threading.Thread(target=self.work, args=worker) for worker in self.workers.items()]
        for thread in threads:
            thread.start()
        try:
            self.break_things(seconds)
        finally:
            self.ended.set()
            for thread in threads:
                thread.join()

    def break_things(self, seconds):
        dice = random.Random(f"{self.seed}/faults")
        while time.monotonic() - self.began < seconds and not self.problems:
            time.sleep(dice.uniform(*self.pauses))
            name, inject = self.fault(dice)
            self.say(f"{self.done.total()} commands; next fault: {name}")
            self.done["faults"] += 1
            inject()

    def work(self, number, host):
        """Run random commands of one worker until the run ends."""
        dice = random.Random(f"{self.seed}/{number}")
        while not self.ended.is_set() and not self.problems:
            argv = self.choose(number, dice)
            self.command(host, argv, dice.uniform(*self.kills) if dice.random() < 0.1 else COMMAND_SECONDS)

    def choose(self, number, dice):
        """Return one random command of a worker. hawse may refuse the command, but must not crash."""
        raise NotImplementedError

    def fault(self, dice):
        """Return the name of a random fault, and a function that injects it."""
        raise NotImplementedError

    def command(self, host, argv, killed_after):
        """Run a command and kill it after ``killed_after`` seconds; record a problem if it crashed or did not end."""
        process = subprocess.Popen(
            host.command(*argv), env=host.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=killed_after)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            self.done["killed"] += 1
            if killed_after == COMMAND_SECONDS:
                self.problems.append(f"host {host.index}: {' '.join(argv)} did not end: {output}")
        self.done[argv[0] if argv[0] != "network" else argv[1]] += 1
        if "internal error" in output or "Traceback" in output:
            self.problems.append(f"host {host.index}: {' '.join(argv)}: {output}")


def weighted(dice, acts):
    """Return one of ``acts`` at random, each of which is a pair of a weight and a command."""
    return dice.choices([argv for _, argv in acts], [weight for weight, _ in acts])[0]


def settled(look, seconds):
    """Call ``look`` until it returns an empty result, for at most this many seconds; return the last result."""
    deadline = time.monotonic() + seconds
    while (result := look()) and time.monotonic() < deadline:
        time.sleep(1)
    return result
