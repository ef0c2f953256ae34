"""The strict tar reader reads the archives that Python's tarfile writes.

The tests of broken archives are in tests/netns/images.
"""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import InvalidArgument
from engine.images.tar import TarReader, parse_pax

names = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=300)
formats = st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            names, st.binary(max_size=1500), st.integers(0, 2**40), st.integers(0, 0o7777), st.integers(0, 2**33), names
        ),
        max_size=5,
    ),
    formats,
)
def test_reads_what_tarfile_writes(members, form):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content, uid, mode, mtime, target in members:
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.mode, info.mtime = len(content), uid, mode, mtime
            archive.addfile(info, io.BytesIO(content))
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    buffer.seek(0)
    reader = TarReader(buffer, 100)
    contents = [(m.name, b"".join(reader.chunks()), m.uid, m.mode, m.mtime, m.linkname, m.type) for m in reader]
    expected = []
    for name, content, uid, mode, mtime, target in members:
        expected.append((name.encode(), content, uid, mode, mtime * 10**9, b"", b"0"))
        expected.append((b"link", b"", 0, 0o644, 0, target.encode(), b"2"))
    assert contents == expected


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=2000), st.integers(0, 2000), st.integers(0, 255))
def test_any_bytes_give_members_or_are_refused(data, position, value):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("ä" * 150)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    broken = bytearray(buffer.getvalue())
    broken[position % len(broken)] = value
    for content in (bytes(broken), data, broken[:position]):
        try:
            for _ in (reader := TarReader(io.BytesIO(content), 100)):
                b"".join(reader.chunks())
        except InvalidArgument as error:
            assert str(error).isprintable()


@pytest.mark.parametrize(
    "data",
    [b"x", b"5 a=b", b"6 a=b", b"7 a=b\n", b"5 a=\n"[:3], b"0 a=b\n", b"6  a=b\n", b"-6 a=b\n", b"99999999 a=b\n",
     b"6 ab=\n6 =b\n", b"5 ab\n", b"11 path=a\0\n", b"8 a\0=bc\n"],
)  # fmt: skip
def test_a_wrong_pax_record_is_refused(data):
    with pytest.raises(InvalidArgument, match="invalid tar header"):
        parse_pax(data)


class Pipe(io.BytesIO):
    """A stream that cannot seek."""

    def seekable(self):
        return False


@pytest.mark.parametrize("kind", [io.BytesIO, Pipe])
def test_an_archive_that_ends_within_a_member_nobody_reads_is_cut_off(kind):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a")
        info.size = 1000
        archive.addfile(info, io.BytesIO(bytes(1000)))
    archive = buffer.getvalue()
    for end in (512, 513, 1511):
        with pytest.raises(InvalidArgument, match=r"^unexpected EOF$"):
            list(TarReader(kind(archive[:end]), 100))
    for end in (1512, 1513, 1536, 2048, len(archive)):  # Go also accepts an end within the padding
        assert [member.name for member in TarReader(kind(archive[:end]), 100)] == [b"a"]


def test_pax_records_may_hold_equal_signs_newlines_and_nul():
    assert parse_pax(b"6 a=b\n11 c=d\ne=f\n13 x=\xff\0value\n") == (
        {b"a": b"b", b"c": b"d\ne=f", b"x": b"\xff\0value"},
        [],
    )


@pytest.mark.parametrize(
    ("records", "content"),
    [
        ({"GNU.sparse.map": "0,5", "GNU.sparse.size": "4"}, b"12345"),
        ({"GNU.sparse.map": "5,5,0,5", "GNU.sparse.size": "10"}, b"1234512345"),
        ({"GNU.sparse.map": "0,5,3,5", "GNU.sparse.size": "10"}, b"1234512345"),
        ({"GNU.sparse.map": "0,5,5", "GNU.sparse.size": "10"}, b"12345"),
        ({"GNU.sparse.map": "0,-5", "GNU.sparse.size": "10"}, b""),
        ({"GNU.sparse.map": "0,4", "GNU.sparse.size": "10"}, b"12345"),
        ({"GNU.sparse.map": "x", "GNU.sparse.size": "10"}, b"12345"),
        ({"GNU.sparse.map": "0,5"}, b"12345"),
        ({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}, b"1\n0\n"),
        ({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}, b"-1\n".ljust(512, b"\0")),
        ({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}, b"9" * 5120),
    ],
)
def test_a_sparse_file_with_a_wrong_map_is_refused(records, content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a")
        info.size, info.pax_headers = len(content), records
        archive.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    with pytest.raises(InvalidArgument, match="invalid tar header"):
        list(TarReader(buffer, 100))
