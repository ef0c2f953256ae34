"""``system df`` and ``system prune``: the output is that of Docker 26.1.5 on a host with the same objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from engine.filters.prune import check_image_prune, image_prunable
from engine.model import ImageRecord

IMAGE, BARE, USED = ("sha256:" + letter * 64 for letter in "abc")
IMAGES = [
    {"Id": IMAGE, "RepoTags": ["bb:latest", "bb:two"], "Created": 1000, "Size": 2025000, "Labels": {"role": "old"}},
    {"Id": BARE, "RepoTags": [], "Created": 2000, "Size": 1000, "Labels": None},
    {"Id": USED, "RepoTags": ["used:1"], "Created": 3000, "Size": 5000, "Labels": None},
]
CONTAINERS = [
    {
        "Id": "d" * 64, "ImageID": USED, "Image": "used:1", "State": state, "Status": "Up", "Names": [f"/{state}"],
        "Command": "sleep 1", "Created": 3000, "Ports": [], "Labels": {}, "Mounts": [],
    }
    for state in ("running", "exited")
]  # fmt: skip


def prune_images(filters: Mapping[str, Sequence[str]]) -> tuple[list[dict[str, str]], int]:
    """Return the removed names and ids, and the freed bytes, as the engine does on a host with ``IMAGES``."""
    check_image_prune(filters)
    removed, size = [], 0
    for image in IMAGES:
        created = datetime.fromtimestamp(image["Created"], UTC).isoformat()
        record = ImageRecord(image["Id"], image["RepoTags"], created, image["Size"], "", labels=image["Labels"] or {})
        if record.id != USED and image_prunable(record, filters):
            removed += [{"Untagged": name} for name in record.references] or [{"Deleted": record.id}]
            size += record.size
    return removed, size


@pytest.fixture
def cli(cli):
    cli.engine.answers["images"] |= {"list": IMAGES, "prune": prune_images}
    cli.engine.answers["containers"] |= {"list": CONTAINERS, "prune": (["d" * 64], 10)}
    cli.engine.answers["networks"]["prune"] = ["nn"]
    return cli


def test_df_prints_dockers_table(cli):
    assert cli("system", "df").out == (
        "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n"
        "Images          3         1         2.031MB   2.026MB (99%)\n"
        "Containers      2         1         0B        0B\n"
        "Local Volumes   0         0         0B        0B\n"
        "Build Cache     0         0         0B        0B\n"
    )


def test_df_as_json_prints_a_line_for_each_type(cli):
    lines = cli("system", "df", "--format", "json").out.splitlines()
    assert lines[0] == '{"Active":"1","Reclaimable":"2.026MB (99%)","Size":"2.031MB","TotalCount":"3","Type":"Images"}'
    assert lines[3] == '{"Active":"0","Reclaimable":"0B","Size":"0B","TotalCount":"0","Type":"Build Cache"}'


def test_df_with_a_field_that_does_not_exist(cli):
    error = "can't evaluate field Nope in type *formatter.diskUsageImagesContext"
    assert cli("system", "df", "--format", "{{.Nope}}").err == (
        f'template parsing error: template: :1:2: executing "" at <.Nope>: {error}\n'
    )


def test_df_in_detail_lists_images_and_containers(cli):
    lines = [line.rstrip() for line in cli("system", "df", "-v").out.splitlines()]
    titles = [line for line in lines if line.endswith(":") or line.startswith("Build")]
    assert titles == [
        "Images space usage:", "Containers space usage:", "Local Volumes space usage:", "Build cache usage: 0B",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[3:6]] == ["bb", "<none>", "used"]
    assert lines[5].split()[-1] == "2"


def test_prune_asks_first(cli):
    assert cli("system", "prune", stdin=b"n\n").out == (
        "WARNING! This will remove:\n"
        "  - all stopped containers\n"
        "  - all networks not used by at least one container\n"
        "  - all dangling images\n"
        "  - unused build cache\n"
        "\n"
        "Are you sure you want to continue? [y/N] "
    )
    assert cli("system", "prune", "-a", "--filter", "label=x", stdin=b"\n").out == (
        "WARNING! This will remove:\n"
        "  - all stopped containers\n"
        "  - all networks not used by at least one container\n"
        "  - all images without at least one container associated to them\n"
        "  - all build cache\n"
        "\n"
        "  Items to be pruned will be filtered with:\n"
        "  - label=x\n"
        "\n"
        "Are you sure you want to continue? [y/N] "
    )
    assert cli.engine.calls == []


def test_prune_removes_what_is_unused(cli):
    head = f"Deleted Containers:\n{'d' * 64}\n\nDeleted Networks:\nnn\n\nDeleted Images:\n"
    assert cli("system", "prune", "-f").out == f"{head}deleted: {BARE}\n\nTotal reclaimed space: 1.01kB\n"
    named = "untagged: bb:latest\nuntagged: bb:two\n"
    assert cli("system", "prune", "-af").out == (f"{head}{named}deleted: {BARE}\n\nTotal reclaimed space: 2.026MB\n")


@pytest.mark.parametrize(
    ("filter", "removed"),
    [("label=role", "bb"), ("label=role=new", ""), ("label!=role", BARE), ("until=1970-01-01T00:30:00Z", "bb")],
)
def test_prune_applies_filters_for_images(cli, filter, removed):
    shown = cli("system", "prune", "-af", "--filter", filter).out.partition("Deleted Images:\n")[2]
    assert ("bb:latest" in shown, BARE in shown) == (removed == "bb", removed == BARE)


def test_prune_leaves_an_image_that_came_into_use(cli):
    cli.engine.answers["images"]["prune"] = ([], 0)
    result = cli("system", "prune", "-af")
    assert (result.code, "Deleted Images" in result.out) == (0, False)


def test_prune_of_volumes_by_time_is_refused(cli):
    result = cli("system", "prune", "--volumes", "-f", "--filter", "until=1h")
    assert (result.code, result.err) == (1, 'ERROR: The "until" filter is not supported with "--volumes"\n')
