"""hawse keeps genuine values of an image configuration, and refuses values that would break listings or containers.

The error texts about types and times are those of `docker load` in Docker 26.1.5.
"""

from __future__ import annotations

import json

import pytest

from engine.errors import InvalidArgument
from engine.golang.timestamps import to_seconds
from engine.images.config import diff_ids_of, parse_config, read_record, render_inspect, render_summary
from engine.images.platform import Platform, platform_of
from engine.store.codec import decode, encode

ID = f"sha256:{'0' * 64}"
ESCAPE = "\x1b[31m"
LONG = "x" * 140_000


def config(**inner: object) -> bytes:
    return json.dumps({"os": "linux", "config": inner, "rootfs": {"diff_ids": []}}).encode()


def image(**top: object) -> bytes:
    return json.dumps({"rootfs": {"diff_ids": []}, **top}).encode()


HOSTILE = {
    "list": (b"[]", "json: cannot unmarshal array into Go value of type image.Image"),
    "null": (b"null", "invalid image JSON, no RootFS key"),
    "nested": (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "exceeded max depth"),
    "not UTF-8 outside of a string": (b"{\xff}", "image configuration"),
    "long number": (b'{"a": ' + b"9" * 5000 + b"}", "image configuration"),
    "windows": (image(os="windows"), "cannot load windows image on linux"),
    "system with escapes": (image(os=ESCAPE), "has control characters"),
    "architecture with escapes": (image(architecture=ESCAPE), "has control characters"),
    "variant with escapes": (image(variant=ESCAPE), "has control characters"),
    "author of another type": (image(author=5), "struct field Image.V1Image.author of type string"),
    "config of another type": (
        image(config=5),
        "json: cannot unmarshal number into Go struct field Image.V1Image.config of type container.Config",
    ),
    "created yesterday": (
        image(created="yesterday"),
        'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
    ),
    "created in month 99": (
        image(created="2026-99-02T03:04:05Z"), 'parsing time "2026-99-02T03:04:05Z": month out of range'
    ),
    "created on 30 February": (image(created="2026-02-30T03:04:05Z"), "day out of range"),
    "created as a number": (image(created=5), "Time.UnmarshalJSON: input is not a JSON string"),
    "created empty": (image(created=""), 'cannot parse "" as "2006"'),
    "created in the year 0": (image(created="0000-01-02T03:04:05Z"), "out of range"),
    "created at the end of time": (image(created="9999-12-31T23:59:59-12:00"), "out of range"),
    "created with escapes": (image(created=f"2026-01-02T03:04:05Z{ESCAPE}"), "extra text"),
    "port of another type": (config(ExposedPorts={"80": 5}), "ExposedPorts of type struct {}"),
    "list of ports": (
        config(ExposedPorts=["80"]),
        "json: cannot unmarshal array into Go struct field Config.V1Image.config.ExposedPorts of type nat.PortSet",
    ),
    "environment as a string": (
        config(Env="A=1"),
        "json: cannot unmarshal string into Go struct field Config.V1Image.config.Env of type []string",
    ),
    "environment of numbers": (
        config(Env=[5]), "json: cannot unmarshal number into Go struct field Config.V1Image.config.Env of type string"
    ),
    "environment with a NUL": (config(Env=["A=\0"]), "has a NUL"),
    "environment without a name": (config(Env=["=x"]), "has no name"),
    "environment with escapes": (config(Env=[f"{ESCAPE}=x"]), "has control characters"),
    "environment too long": (config(Env=[f"A={LONG}"]), "is longer than 131071 bytes"),
    "command as an object": (config(Cmd={"a": 1}), "config.Cmd of type string"),
    "command of numbers": (
        config(Cmd=[5]), "json: cannot unmarshal array into Go struct field Config.V1Image.config.Cmd of type string"
    ),
    "command with a NUL": (config(Cmd=["a\0"]), "has a NUL"),
    "entry point too long": (config(Entrypoint=[LONG]), "is longer than"),
    "labels as a list": (config(Labels=["a"]), "config.Labels of type map[string]string"),
    "label of another type": (config(Labels={"a": 5}), "config.Labels of type string"),
    "label with escapes": (config(Labels={ESCAPE: "x"}), "has control characters"),
    "label with a NUL": (config(Labels={"a": "\0"}), "has a NUL"),
    "user of another type": (config(User=5), "config.User of type string"),
    "user with a newline": (config(User="a\nb"), "has control characters"),
    "user too long": (config(User="u" * 5000), "is longer than 4095 bytes"),
    "directory that is relative": (
        config(WorkingDir="rel"), "the working directory 'rel' is invalid, it needs to be an absolute path"
    ),
    "directory with escapes": (config(WorkingDir=f"/{ESCAPE}"), "has control characters"),
    "directory too long": (config(WorkingDir="/" + "d" * 5000), "is longer than 4095 bytes"),
    "signal that is none": (config(StopSignal="SIGFOO"), "invalid signal: SIGFOO"),
    "signal 9999": (config(StopSignal="9999"), "the linux daemon does not support signal 9999"),
    "volumes as a list": (config(Volumes=["/x"]), "config.Volumes of type map[string]struct {}"),
    "volume with escapes": (config(Volumes={ESCAPE: {}}), "has control characters"),
    "triggers of another type": (config(OnBuild="x"), "config.OnBuild of type []string"),
    "more ports than there are": (
        config(ExposedPorts={f"{n}-65535": {} for n in range(1, 9)}), "more than 196605 exposed ports"
    ),
}  # fmt: skip
PORTS = ["x", "99999/tcp", "0/tcp", "80/foo", "-1/tcp", "90-80", "80/tcp/udp", f"80{ESCAPE}", "", "٨٠", " 80", "80\n"]
HOSTILE |= {f"port {p!a}": (config(ExposedPorts={p: {}}), "invalid exposed port") for p in PORTS}


@pytest.mark.parametrize(("document", "text"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_configurations_are_refused(document, text):
    with pytest.raises(InvalidArgument) as refusal:
        read_record(ID, document)
    assert text in str(refusal.value)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize(
    ("created", "shown", "seconds"),
    [
        ("2026-01-02T03:04:05+05:00", "2026-01-02T03:04:05+05:00", 1767305045),
        ("2026-01-02T03:04:05.100000000Z", "2026-01-02T03:04:05.1Z", 1767323045.1),
        ("2026-01-02T03:04:05.123456789123+00:00", "2026-01-02T03:04:05.123456789Z", 1767323045.123456789),
        ("1960-01-02T03:04:05Z", "1960-01-02T03:04:05Z", -315521755),
        ("0950-01-02T03:04:05Z", "0950-01-02T03:04:05Z", -32187963355),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 0),
        (None, "", 0),
    ],
)
def test_times_of_genuine_images(created, shown, seconds):
    document = image(created=created)
    record = read_record(ID, document)
    assert to_seconds(record.created) == pytest.approx(seconds, abs=1e-6)
    assert render_inspect(record, parse_config(document))["Created"] == shown


@pytest.mark.parametrize(("variant", "shown"), [("v6", {"Variant": "v6"}), ("", {}), (None, {})])
def test_the_variant_is_shown_only_if_there_is_one(variant, shown):
    document = image(architecture="arm", variant=variant)
    rendered = render_inspect(read_record(ID, document), parse_config(document))
    assert {key: rendered[key] for key in rendered if key == "Variant"} == shown


def test_genuine_values_are_taken_over():
    """An image configuration with unusual but valid values is imported.

    Examples are newlines and escape characters, a command that is a single string, and null in a list.
    """
    document = config(
        Env=["PS1=\x1b[1m$ ", "A=1\n2", "nothing", "E="], Cmd="sh", Entrypoint=["sh", "-c", "a\nb", None],
        ExposedPorts={"80": {}, "53/UDP": None, "8000-8010/tcp": {}}, Labels={"a": "1\n2", "b": None},
        User="1000:100", WorkingDir="/srv/ä", StopSignal="SIGRTMIN+3", Volumes={"/data": {}}, OnBuild=None,
    )  # fmt: skip
    record = read_record(ID, document)
    assert (record.cmd, record.entrypoint) == (("sh",), ("sh", "-c", "a\nb", ""))
    assert record.env == ("PS1=\x1b[1m$ ", "A=1\n2", "nothing", "E=")
    assert record.exposed_ports == ("53/udp", "80", "8000-8010/tcp")
    assert record.labels == {"a": "1\n2", "b": ""}
    assert (record.user, record.working_dir, record.stop_signal) == ("1000:100", "/srv/ä", "SIGRTMIN+3")
    assert render_inspect(record, parse_config(document))["Config"]["Volumes"] == {"/data": {}}


def test_the_case_of_the_system_does_not_matter():
    """dockerd 26.1.5 loads the image, and its ``docker run`` gives no warning about the platform."""
    document = {"os": "Linux", "architecture": "AMD64"}
    assert render_inspect(read_record(ID, image(**document)), document)["Os"] == "Linux"
    assert platform_of(document) == Platform("linux", "amd64", "")


def test_text_that_is_not_unicode_can_be_stored():
    """Bytes that are not UTF-8, and unpaired surrogates, are replaced by U+FFFD, as Go does."""
    document = (
        b'{"config": {"Labels": {"a": "\\ud800", "b": "\xff", "c": "\\ud83d\\ude00"}}, "rootfs": {"diff_ids": []}}'
    )
    record = read_record(ID, document)
    assert record.labels == {"a": "�", "b": "�", "c": "😀"}
    assert dict(decode(type(record), encode(record)).labels) == record.labels
    assert render_summary(record, 0)["Labels"] == record.labels


def test_only_valid_digests_of_layers_are_accepted():
    digest = "ab" * 32
    assert diff_ids_of({"rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}) == [digest]
    for value in ("x", f"sha256:{'A' * 64}", f"sha256:{digest}\n", f"sha512:{digest * 2}", 5, None):
        with pytest.raises(InvalidArgument):
            diff_ids_of({"rootfs": {"diff_ids": [value]}})
    for rootfs in (5, [], {"diff_ids": "x"}, {"diff_ids": {}}):
        with pytest.raises(InvalidArgument, match="cannot unmarshal"):
            diff_ids_of({"rootfs": rootfs})
    with pytest.raises(InvalidArgument, match="no RootFS key"):
        diff_ids_of({})
