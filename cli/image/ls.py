"""The ``hawse images`` and ``hawse image ls`` commands."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from cli.app import App
from cli.container.row import moment
from cli.output.documents import LIST_FORMAT
from cli.output.listing import list_template, omittable, write_listing
from cli.output.rows import FormatContext
from cli.pflag import FILTER, STRING, at_most, command, flag
from engine.golang.units import human_duration, human_size
from engine.names import short_id

ALIASES = "hawse image ls, hawse image list, hawse images"
HEADER = {
    "ID": "IMAGE ID", "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT", "Size": "SIZE", "Containers": "CONTAINERS", "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE",
}  # fmt: skip
NONE, UNKNOWN = "<none>", "N/A"
TABLE = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
DIGESTS_TABLE = TABLE.replace("{{.ID}}", "{{.Digest}}\t{{.ID}}")
ELIDED = ("DIGEST", "CREATED", "SIZE")
RAW = (
    "repository: {{.Repository}}\n{{if .Tag}}tag: {{.Tag}}\n{{end}}image_id: {{.ID}}\n"
    "created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
)


@command("images [OPTIONS] [REPOSITORY[:TAG]]", "List images", at_most(1), aliases=ALIASES)
@flag("--all", "-a", usage="Show all images (default hides intermediate images)")
@flag("--digests", usage="Show digests")
@flag("--filter", "-f", kind=FILTER, usage="Filter output based on conditions provided")
@flag("--format", kind=STRING, usage=LIST_FORMAT)
@flag("--no-trunc", usage="Don't truncate output")
@flag("--quiet", "-q", usage="Only show image IDs")
@click.argument("repository", required=False)
@click.pass_obj
def images(app: App, /, **flags: Any) -> None:
    """Print a table of the images, newest first, or the result of ``--format`` for each image."""
    filters = dict(flags["filter"])
    if flags["repository"]:
        filters["reference"] = (*filters.get("reference", ()), flags["repository"])
    format = flags["format"]
    shown = {"trunc": not flags["no_trunc"], "digests": flags["digests"]}
    rows = [row for image in app.engine.images.list(filters) for row in rows_of(image, **shown)]
    elided = omittable(ELIDED, format, no_trunc=flags["no_trunc"])
    table = DIGESTS_TABLE if flags["digests"] else TABLE
    text = list_template(format, "image", table, RAW, quiet=flags["quiet"])
    write_listing(app, text, rows, HEADER, elided=elided)


ls = images.renamed("ls")


def names_of(image: Mapping[str, Any], *, digests: bool) -> Iterator[tuple[str, str, str]]:
    """Yield the repository, the tag and the digest of each row of an image; a missing part is ``<none>``.

    Each tag gives one row, and each repository without a tag gives one row. With ``digests``, the row is repeated for
    each digest of the repository. Without ``digests``, the digest is always ``<none>``.
    """
    known: dict[str, list[str]] = {}
    for reference in image.get("RepoDigests") or ():
        repository, _, digest = reference.partition("@")
        known.setdefault(repository, []).append(digest)
    tags = [reference.rpartition(":")[::2] for reference in image["RepoTags"] or ()]
    for repository, tag in tags:
        for digest in (known.get(repository) or [NONE]) if digests else [NONE]:
            yield repository, tag, digest
    for repository in [repository for repository in known if repository not in dict(tags)]:
        for digest in known[repository] if digests else [NONE]:
            yield repository, NONE, digest
    if not (tags or known):
        yield NONE, NONE, NONE


def rows_of(image: Mapping[str, Any], *, trunc: bool, digests: bool = False) -> Iterator[FormatContext]:
    """Yield one row for each name of an image; an image without a name gives one row with ``<none>``.

    With ``trunc``, the image's id is shortened. With ``digests``, each digest of a name gives a row of its own.
    """
    for repository, tag, digest in names_of(image, digests=digests):
        yield FormatContext(
            "*formatter.imageContext",
            {
                "Containers": UNKNOWN,
                "CreatedAt": moment(image["Created"]),
                "CreatedSince": human_duration(time.time() - image["Created"]) + " ago",
                "Digest": digest,
                "ID": short_id(image["Id"]) if trunc else image["Id"],
                "Repository": repository,
                "SharedSize": UNKNOWN,
                "Size": human_size(image["Size"], 3),
                "Tag": tag,
                "UniqueSize": UNKNOWN,
                "VirtualSize": human_size(image["Size"]),
            },
        )
