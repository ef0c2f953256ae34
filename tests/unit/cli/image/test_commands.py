"""The image commands; the expected output is that of Docker 26.1.5."""

import os
import time

import pytest

from engine.errors import Conflict, NotFound

ID = "sha256:" + "0123456789ab" + "e" * 52


@pytest.fixture
def images(cli):
    cli.engine.answers["images"]["list"] = [
        {"Id": ID, "RepoTags": ["bb:latest", "host:5000/x:1"], "Created": int(time.time()) - 300, "Size": 2024614},
        {"Id": ID, "RepoTags": [], "Created": int(time.time()) - 300, "Size": 10},
    ]
    return cli


def test_images_prints_one_row_for_each_reference(images):
    assert images("images").out == (
        "REPOSITORY    TAG       IMAGE ID       CREATED         SIZE\n"
        "bb            latest    0123456789ab   5 minutes ago   2.02MB\n"
        "host:5000/x   1         0123456789ab   5 minutes ago   2.02MB\n"
        "<none>        <none>    0123456789ab   5 minutes ago   10B\n"
    )
    assert images.engine.call == ("list", ({},), {})


def test_image_ls_prints_fields_and_sends_filters(images):
    result = images("image", "ls", "--no-trunc", "-f", "dangling=true", "--format", "{{.ID}} {{.VirtualSize}}", "bb")
    assert result.out.split("\n")[0] == f"{ID} 2.025MB"
    assert images.engine.call[1] == ({"dangling": ("true",), "reference": ("bb",)},)


def test_rmi_removes_the_other_images_after_an_error(cli):
    def remove(name, force):
        return NotFound(f"No such image: {name}") if name == "x" else [{"Untagged": name}, {"Deleted": ID}]

    cli.engine.answers["images"]["remove"] = remove
    result = cli("rmi", "x", "bb")
    assert (result.code, result.out) == (1, f"Untagged: bb\nDeleted: {ID}\n")
    assert result.err == "Error response from daemon: No such image: x\n"
    assert cli("image", "rm", "-f", "x").code == 0
    cli.engine.answers["images"]["remove"] = Conflict("in use")
    assert cli("rmi", "-f", "bb").code == 1


def test_import_sends_the_archive_and_prints_the_id(cli, tmp_path):
    read = []

    def import_archive(source, reference):
        read.append((source.read(), reference))
        return ID

    cli.engine.answers["images"]["import_archive"] = import_archive
    (tmp_path / "a.tar").write_bytes(b"file")
    assert cli("import", "-", "bb", stdin=b"stream").out == ID + "\n"
    assert cli("image", "import", str(tmp_path / "a.tar")).out == ID + "\n"
    assert read == [(b"stream", "bb:latest"), (b"file", "")]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (("/nosuch", "x"), "open /nosuch: no such file or directory\n"),
        (("-", "BAD:x"), "invalid reference format: repository name (library/BAD) must be lowercase\n"),
        (("http://x/y",), "http://x/y: hawse does not download: fetch it first, then import the file or -\n"),
    ],
)
def test_import_refuses_wrong_arguments_in_dockers_words(cli, argv, text):
    result = cli("import", *argv)
    assert (result.code, result.out, result.err) == (1, "", text)


@pytest.mark.parametrize("argv", [("import",), ("load", "-i")])
def test_an_error_after_the_archive_was_opened_does_not_name_the_archive(cli, tmp_path, argv):
    failure = BrokenPipeError()  # the engine converts all OSErrors except this one
    cli.engine.answers["images"].update(import_archive=failure, load=failure)
    (tmp_path / "a.tar").write_bytes(b"file")
    result = cli(*argv, str(tmp_path / "a.tar"))
    assert (result.code, result.err) == (141, "")


def test_inspect_refuses_a_missing_or_empty_name(cli):
    cli.engine.answers["images"]["inspect"] = NotFound("No such image: x:latest")
    assert cli("image", "inspect", "x").err == "Error response from daemon: No such image: x:latest\n"
    assert cli("image", "inspect", "").err == "Error: No such image: \n"


@pytest.mark.parametrize("argv", [("image", "inspect"), ("inspect",)])
def test_inspect_through_a_template(cli, argv):
    cli.engine.answers["containers"]["inspect"] = NotFound("No such container: bb")
    cli.engine.answers["images"]["inspect"] = {"Id": ID, "RepoTags": ["bb:latest"], "Config": {"Cmd": ["sh"]}}
    result = cli(*argv, "-f", "{{.ID}} {{.RepoTags}} {{.Config.Cmd}} {{.Size}}", "bb")
    assert (result.out, result.err) == (f"{ID} [bb:latest] [sh] 0\n", "")


def test_save_replaces_no_special_file(images, tmp_path):
    """The command `save -o /dev/null`, run as root, must not replace the device by an archive."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    kinds = {"/dev/null": "got a device", str(pipe): "got an irregular file"}
    for path, kind in kinds.items():
        status = os.stat(path)
        text = f'failed to save image: invalid output path: "{path}" must be a directory or a regular file: {kind}\n'
        done = images("save", "-o", path, "bb")
        assert (done.code, done.err) == (1, text)
        assert os.stat(path).st_ino == status.st_ino


def test_prune_removes_images_without_a_name(cli):
    cli.engine.answers["images"]["prune"] = ([{"Untagged": "a:1"}, {"Deleted": ID}], 2024614)
    done = cli("image", "prune", "-f", "--filter", "label=x")
    assert done.out == f"Deleted Images:\nuntagged: a:1\ndeleted: {ID}\n\nTotal reclaimed space: 2.025MB\n"
    assert cli.engine.call == ("prune", ({"label": ("x",), "dangling": ("true",)},), {})


def test_prune_of_all_images_asks_first(cli):
    asked = cli("image", "prune", "-a")
    assert asked.out == (
        "WARNING! This will remove all images without at least one container associated to them.\n"
        "Are you sure you want to continue? [y/N] "
    )
    assert (asked.code, cli.engine.calls) == (0, [])
    cli.engine.answers["images"]["prune"] = ([], 0)
    assert cli("image", "prune", "-af").out == "Total reclaimed space: 0B\n"
    assert cli.engine.call == ("prune", ({"dangling": ("false",)},), {})
