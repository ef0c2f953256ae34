"""Parsing of the command line. Each expected result is the result of docker 26.1 for the same words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cli.pflag import FILTER, INT, LIST, MAP, STRING, STRINGS, Flag, scalar
from cli.pflag.parser import FlagError, FlagSet
from engine.golang.strconv import parse_uint


def flag_set(notice=lambda line: None) -> FlagSet:
    return FlagSet(
        [
            Flag(["--force", "-f"]),
            Flag(["--quiet", "-q"]),
            Flag(["--driver", "-d"], kind=STRING, default_value="bridge"),
            Flag(["--gateway"], kind=STRINGS),
            Flag(["--label"], kind=LIST),
            Flag(["--opt", "-o"], kind=MAP),
            Flag(["--filter"], kind=FILTER),
            Flag(["--time", "-t"], kind=INT, default_value=10),
            Flag(["--weight"], kind=scalar("uint", parse_uint, 0)),
            Flag(["--help", "-h"], short_deprecated="please use --help"),
        ],
        notice,
    )


@pytest.mark.parametrize(
    ("argv", "changes", "arguments"),
    [
        (["--driver", "host", "n1"], {"driver": "host"}, ["n1"]),
        (["--driver=host", "n1"], {"driver": "host"}, ["n1"]),
        (["--driver="], {"driver": ""}, []),
        (["--driver=a=b"], {"driver": "a=b"}, []),
        (["-d", "host"], {"driver": "host"}, []),
        (["-dhost"], {"driver": "host"}, []),
        (["-d=host"], {"driver": "host"}, []),
        (["-d="], {"driver": "="}, []),
        (["-d", "--force"], {"driver": "--force"}, []),
        (["--driver", "--"], {"driver": "--"}, []),
        (["-fqd", "host"], {"force": True, "quiet": True, "driver": "host"}, []),
        (["-fqdhost"], {"force": True, "quiet": True, "driver": "host"}, []),
        (["--force=false"], {"force": False}, []),
        (["--force", "false"], {"force": True}, ["false"]),
        (["-f=false", "-q=T"], {"force": False, "quiet": True}, []),
        (["a", "-f", "b", "-q"], {"force": True, "quiet": True}, ["a", "b"]),
        (["a", "--", "-f", "--", "b"], {}, ["a", "-f", "--", "b"]),
        (["-", "-f"], {"force": True}, ["-"]),
        (["-d", "a", "-d", "b"], {"driver": "b"}, []),
        (["--gateway", "a,b", "--gateway", '"c,d"', "--gateway", ""], {"gateway": ("a", "b", "c,d")}, []),
        (["--label", "a,b", "--label", ""], {"label": ("a,b", "")}, []),
        (["-o", "a=1", "-o=b", "-oa=2=3"], {"opt": {"a": "2=3", "b": ""}}, []),
        (["-o a=b"], {"opt": {" a": "b"}}, []),
        (["--filter", " NAME = x ", "--filter=name=y", "--filter", "name=x", "--filter", ""],
         {"filter": {"name": ("x", "y")}}, []),
        (["--filter", "label=a\udcff", "--filter", "label=a\ufffd"], {"filter": {"label": ("a\ufffd",)}}, []),
        (["-t", "0x10"], {"time": 16}, []),
        (["-t-1"], {"time": -1}, []),
    ],
)  # fmt: skip
def test_valid_command_lines_are_parsed_as_by_docker(argv, changes, arguments):
    flags = flag_set()
    before = dict(flags.values)
    assert flags.parse(argv) == arguments
    assert flags.values == {**before, **changes}
    assert flags.changed == set(changes)


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--forc"], "unknown flag: --forc"),
        (["--bogus=1"], "unknown flag: --bogus"),
        (["-z"], "unknown shorthand flag: 'z' in -z"),
        (["-fz"], "unknown shorthand flag: 'z' in -z"),
        (["-fé"], "unknown shorthand flag: 'Ã' in -é"),
        (["-\udcff"], "unknown shorthand flag: 'ÿ' in -\udcff"),
        (["-\udc80"], "unknown shorthand flag: '\\u0080' in -\udc80"),
        (["-f="], "unknown shorthand flag: '=' in -="),
        (["---x"], "bad flag syntax: ---x"),
        (["--=x"], "bad flag syntax: --=x"),
        (["--driver"], "flag needs an argument: --driver"),
        (["-d"], "flag needs an argument: 'd' in -d"),
        (["-fd"], "flag needs an argument: 'd' in -d"),
        (["--force=maybe"],
         'invalid argument "maybe" for "-f, --force" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
        (["-t", "1s"], 'invalid argument "1s" for "-t, --time" flag: strconv.ParseInt: parsing "1s": invalid syntax'),
        (["--weight=-1"], 'invalid argument "-1" for "--weight" flag: strconv.ParseUint: parsing "-1": invalid syntax'),
        (["--filter", "x"],
         'invalid argument "x" for "--filter" flag: bad format of filter (expected name=value)'),
        (["--gateway", 'a"b'],
         'invalid argument "a\\"b" for "--gateway" flag: parse error on line 1, column 2: bare " in non-quoted-field'),
        (["--help=x"], 'invalid argument "x" for "--help" flag: strconv.ParseBool: parsing "x": invalid syntax'),
    ],
)  # fmt: skip
def test_invalid_command_lines_are_refused_with_dockers_text(argv, text):
    with pytest.raises(FlagError) as raised:
        flag_set().parse(argv)
    assert str(raised.value) == text


def test_a_list_flag_does_not_copy_earlier_values():
    flags, values = flag_set(), []
    kind = replace(LIST, fold=lambda before, text: values.append(LIST.fold(before, text)) or values[-1])
    flags.long["--label"].kind = kind
    flags.parse(["--label", "a", "--label", "b", "--label", "c"])
    assert flags.values["label"] == ("a", "b", "c")
    assert values[0] is values[1] is values[2]


def test_without_interspersed_the_first_argument_ends_the_flags():
    flags = flag_set()
    assert flags.parse(["-f", "image", "-q", "--", "x"], interspersed=False) == ["image", "-q", "--", "x"]
    assert flags.changed == {"force"}


def test_a_deprecated_short_name_says_so_when_used():
    messages: list[str] = []
    flag_set(messages.append).parse(["-fh", "--help"])
    assert messages == ["Flag shorthand -h has been deprecated, please use --help"]
