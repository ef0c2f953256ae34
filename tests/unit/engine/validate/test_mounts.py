"""hawse accepts and refuses the same bind mounts as dockerd 26.1.5."""

import pytest

from engine.errors import EngineError, InvalidArgument
from engine.model import Mount
from engine.validate.container import check_binds, check_mounts, parse_mount


@pytest.mark.parametrize(
    ("bind", "mount"),
    [
        ("/tmp:/x", Mount("/tmp", "/x")),
        ("/tmp:/x:", Mount("/tmp", "/x")),
        ("/tmp:/x:ro", Mount("/tmp", "/x", read_only=True)),
        ("/tmp:/x:ro,z", Mount("/tmp", "/x", read_only=True)),
        ("/tmp:/x:rshared", Mount("/tmp", "/x")),
        ("/nosuch:/x/../y//", Mount("/nosuch", "/y")),
    ],
)
def test_a_valid_bind_is_parsed(bind, mount):
    assert parse_mount(bind) == mount


@pytest.mark.parametrize(
    ("bind", "text"),
    [
        ("/tmp:", "invalid volume specification: '/tmp:'"),
        (":/x", "invalid volume specification: ':/x'"),
        ("", "invalid volume specification: ''"),
        ("/tmp:/x:ro:z", "invalid volume specification: '/tmp:/x:ro:z'"),
        ("/tmp:/x:bogus", "invalid mode: bogus"),
        ("/tmp:/x:ro,rw", "invalid mode: ro,rw"),
        (
            "/tmp:/x:nocopy",
            "invalid volume specification: '/tmp:/x:nocopy': invalid mount config for type \"bind\": "
            "field VolumeOptions must not be specified",
        ),
        (
            "/tmp:x",
            "invalid volume specification: '/tmp:x': invalid mount config for type \"bind\": "
            "invalid mount path: 'x' mount path must be absolute",
        ),
        (
            "/tmp:/x/../",
            "invalid volume specification: '/tmp:/x/../': invalid mount config for type \"bind\": "
            "invalid specification: destination can't be '/'",
        ),
    ],
)
def test_an_invalid_bind_is_refused(bind, text):
    with pytest.raises(EngineError) as caught:
        parse_mount(bind)
    assert str(caught.value) == text


@pytest.mark.parametrize("bind", ["tmp:/x", "./rel:/x", "/anonymous"])
def test_volumes_are_refused(bind):
    with pytest.raises(InvalidArgument, match="volumes"):
        parse_mount(bind)


def test_two_mounts_at_one_path_are_refused():
    with pytest.raises(InvalidArgument, match=r"^Duplicate mount point: /x$"):
        check_binds(["/tmp:/x", "/etc:/x/"])


@pytest.mark.parametrize(
    ("bind", "fault"),
    [
        ("/nosuch/file:/x", "bind source path does not exist: /nosuch/file"),
        ("tmp:/x", "invalid mount path: 'tmp' mount path must be absolute"),
        ("/tmp:x:ro", "invalid mount path: 'x' mount path must be absolute"),
        (":/x:ro", "field Source must not be empty"),
        ("/tmp:/x:ro,foo", "invalid propagation mode: foo"),
        (":x", "invalid mount path: 'x' mount path must be absolute"),
        (":/", "invalid specification: destination can't be '/'"),
        ("/nosuch:/x/..", "invalid specification: destination can't be '/'"),
    ],
)
def test_a_mount_needs_an_existing_source_unlike_a_volume(bind, fault):
    check_mounts(["/tmp:/x", "/tmp:/y:ro"])
    with pytest.raises(InvalidArgument) as caught:
        check_mounts(["/tmp:/y", bind])
    assert str(caught.value) == f'invalid mount config for type "bind": {fault}'
