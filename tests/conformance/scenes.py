"""Scenes: short shell scripts that call ``docker``, kept one topic a file under scenes/.

    == a title, which names the test
    $ docker network create n1          compared: exit code, stdout, stderr
    - docker rm -f c1                    run, not compared: preparation
    # a comment

All lines of a scene run in one ``sh``, so variables last; everything is removed before the next scene begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DIRECTORY = Path(__file__).parent / "scenes"


@dataclass(frozen=True)
class Line:
    text: str
    compared: bool


@dataclass
class Scene:
    topic: str
    title: str
    lines: list[Line] = field(default_factory=list)

    @property
    def compared(self) -> int:
        return sum(line.compared for line in self.lines)

    def script(self) -> str:
        """The scene as one shell script, which leaves o.N, e.N and r.N (output, errors, exit code) of each line."""
        parts = (f"{{ {line.text}\n}} >o.{n} 2>e.{n}; echo $? >r.{n}\n" for n, line in enumerate(self.lines))
        return "".join(parts)


def read_scenes(path: Path) -> list[Scene]:
    scenes: list[Scene] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        mark, _, text = line.partition(" ")
        if mark == "==":
            scenes.append(Scene(path.stem, text))
        elif mark in ("$", "-"):
            scenes[-1].lines.append(Line(text, compared=mark == "$"))
        elif line and mark != "#":
            raise ValueError(f"{path}:{number}: neither ==, $, - nor #: {line}")
    return scenes


def all_scenes() -> list[Scene]:
    return [scene for path in sorted(DIRECTORY.glob("*.txt")) for scene in read_scenes(path)]
