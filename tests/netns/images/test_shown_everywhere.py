"""An image has the strangest values that an import accepts. Every command that shows or uses the image must work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .archives import image_config, make_tar, saved

pytestmark = pytest.mark.netns


@pytest.mark.parametrize(("created", "zone"), [("9999-12-29T00:00:00Z", "UTC-14"), ("0001-01-04T00:00:00Z", "UTC+12")])
def test_every_command_shows_and_runs_an_odd_configuration_as_docker_does(host, tmp_path, created, zone):
    busybox = Path(str(shutil.which("busybox"))).read_bytes()
    layer = make_tar(("bin/busybox", (busybox, 0o755)))
    config = {
        "Env": ["PS1=\x1b[1m$ ", "A=1\n2", "nothing"], "Entrypoint": None, "Labels": {"a": "\x1b[1m\n", "": ""},
        "Cmd": ["/bin/busybox", "sh", "-c", "echo \x1b[1m\n/bin/busybox pwd"], "WorkingDir": "/b c\u202e",
        "ExposedPorts": {"1-1000/TCP": {}, "53/udp": {}}, "StopSignal": "37", "User": "0:0",
        "Volumes": {"/v": {}}, "OnBuild": ["x\x1b"],
    }  # fmt: skip
    document = image_config([layer], config, created=created, comment="\x1b", author="\ud800", history="odd")
    archive = tmp_path / "odd.tar"
    archive.write_bytes(saved(layer, config=document, tags=["odd:1", "localhost:5/a__b:x.y-z_"]))
    host.root.parent.mkdir(exist_ok=True)
    env = {"TZ": zone}
    image_id = host.hawse("import", str(archive), env=env).stdout.strip()
    assert image_id[7:19] in host.hawse("images", env=env).stdout
    host.hawse("images", "--format", "json", "--no-trunc", env=env)
    host.hawse("images", "--filter", "since=odd:1", env=env)
    shown = json.loads(host.hawse("inspect", "odd:1", env=env).stdout)[0]
    assert (shown["Id"], shown["Created"]) == (image_id, created)
    assert host.hawse("run", "--name", "c1", "odd:1", env=env).stdout == "\x1b[1m\n/b c\u202e\n"
    assert "odd:1" in host.hawse("ps", "-a", env=env).stdout
    host.hawse("ps", "-a", "--format", "json", "--no-trunc", env=env)
    host.hawse("inspect", "c1", env=env)
    host.hawse("rm", "c1", env=env)
    assert host.hawse("rmi", "-f", image_id, env=env).stdout.endswith(f"Deleted: {image_id}\n")
