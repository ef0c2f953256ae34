"""Scenarios: short shell scripts that call ``docker``, one file for each topic under scenarios/.

    == a title, which names the test
    $ docker network create n1          compared: exit code, stdout, stderr
    - docker rm -f c1                    run, not compared: preparation
    # a comment

One ``sh`` runs all lines of a scenario, so shell variables keep their values. Everything that a scenario created is
removed before the next scenario.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DIRECTORY = Path(__file__).parent / "scenarios"


@dataclass(frozen=True)
class Line:
    text: str
    compared: bool


@dataclass
class Scenario:
    topic: str
    title: str
    lines: list[Line] = field(default_factory=list)

    @property
    def compared(self) -> int:
        return sum(line.compared for line in self.lines)

    def script(self) -> str:
        """Return the scenario as one shell script. Line N of the scenario writes three files: its output o.N, its
        errors e.N and its exit code r.N.
        """
        parts = (f"{{ {line.text}\n}} >o.{n} 2>e.{n}; echo $? >r.{n}\n" for n, line in enumerate(self.lines))
        return "".join(parts)


def read_scenarios(path: Path) -> list[Scenario]:
    scenarios: list[Scenario] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        mark, _, text = line.partition(" ")
        if mark == "==":
            scenarios.append(Scenario(path.stem, text))
        elif mark in ("$", "-"):
            scenarios[-1].lines.append(Line(text, compared=mark == "$"))
        elif line and mark != "#":
            raise ValueError(f"{path}:{number}: neither ==, $, - nor #: {line}")
    return scenarios


def all_scenarios() -> list[Scenario]:
    return [scenario for path in sorted(DIRECTORY.glob("*.txt")) for scenario in read_scenarios(path)]
