"""``--mount`` accepts and refuses the same fields as docker 26.1.5."""

import re

import pytest

from cli.options.mounts import mount


@pytest.mark.parametrize(
    ("value", "bind"),
    [
        ("type=bind,src=/a,dst=/b", "/a:/b"),
        ("type=BIND,SOURCE=/a,Destination=/b,ro", "/a:/b:ro"),
        ("type=bind,src=/a,dst=/b,bind-propagation=RSLAVE", "/a:/b:rslave"),
        ("type=bind,src=/a,dst=/b,readonly,bind-propagation=private", "/a:/b:ro,private"),
    ],
)
def test_a_mount_becomes_a_bind(value, bind):
    assert mount(value) == bind


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("type=,target=/x", "type is required"),
        ("type=foo", "target is required"),
        ("target=/x,bogus", "invalid field 'bogus' must be a key=value pair"),
        ("target=/x,bogus=1", "unexpected key 'bogus' in 'bogus=1'"),
        ("target=/x,bind-propagation=shared", "cannot mix 'bind-*' options with mount type 'volume'"),
        ("type=bind,target=/x,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"),
        ("type=bind,target=/x,tmpfs-size=1m", "cannot mix 'tmpfs-*' options with mount type 'bind'"),
        ("type=bind,target=/x,ro=maybe", "invalid value for ro: maybe"),
        ("type=bind,src=/a,target=/x,bind-nonrecursive", "the option bind-nonrecursive is not supported"),
        ("type=tmpfs,target=/x", 'mount type "tmpfs" is not supported: use type=bind'),
    ],
)
def test_a_bad_mount_is_refused(value, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        mount(value)


def test_an_unknown_type_is_the_daemons_error(cli):
    fault = 'Error response from daemon: invalid mount config for type "foo": mount type unknown'
    created = cli("create", "--mount", "type=foo,target=/x", "hostfs", "true")
    assert (created.code, created.out, created.err) == (1, "", f"{fault}\n")
    ran = cli("run", "--mount", "type=foo,target=/x", "hostfs", "true")
    assert (ran.code, ran.err) == (125, f"hawse: {fault}.\nSee 'hawse run --help'.\n")
