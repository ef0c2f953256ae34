"""Every scene does on hawse what it does on a live dockerd: the same exit codes, output and errors, line by line."""

from __future__ import annotations

import difflib
from concurrent.futures import ThreadPoolExecutor

import pytest

from .scenes import Scene, all_scenes
from .targets import Result

pytestmark = pytest.mark.docker

SCENES = all_scenes()


def transcript(result: Result) -> list[str]:
    streams = {"out": result.stdout, "err": result.stderr}
    lines = [f"{name}: {line}" for name, text in streams.items() for line in text.split("\n")]
    return [f"exit {result.exit_code}", *lines]


def differences(scene: Scene, hawse: list[Result], docker: list[Result]) -> str:
    """What hawse does otherwise, as a diff from Docker's transcript to ours."""
    found = []
    for line, ours, theirs in zip(scene.lines, hawse, docker, strict=True):
        if line.compared and ours != theirs:
            diff = difflib.unified_diff(transcript(theirs), transcript(ours), lineterm="", n=1)
            found += [f"$ {line.text}", *list(diff)[2:]]
    return "\n".join(found)


@pytest.mark.parametrize("scene", SCENES, ids=[f"{s.topic}: {s.title}" for s in SCENES])
def test_scene_reads_the_same_on_hawse_and_on_docker(targets, scene):
    with ThreadPoolExecutor(2) as pool:
        hawse, docker = pool.map(lambda target: target.play(scene), targets)
    found = differences(scene, hawse, docker)
    assert not found, f"{scene.title}\n{found}"


def test_there_are_scenes_enough():
    assert sum(scene.compared for scene in SCENES) >= 200
