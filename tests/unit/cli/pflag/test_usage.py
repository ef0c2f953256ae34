"""The help output aligns the flags."""

from __future__ import annotations

from cli.pflag import FILTER, INT, LIST, MAP, STRING, Flag
from cli.pflag.usage import flag_usages


def test_defaults_are_shown_as_pflag_does():
    flags = [
        Flag(["--all", "-a"], usage="Everything"),
        Flag(["--name"], kind=STRING, usage="A name", default_value="x"),
        Flag(["--empty"], kind=STRING, usage="Nothing"),
        Flag(["--last", "-n"], kind=INT, usage="Last", default_value=-1),
        Flag(["--opt"], kind=MAP, usage="Options"),
        Flag(["--label"], kind=LIST, usage="Labels"),
        Flag(["--filter"], kind=FILTER, usage="Filter"),
        Flag(["--proxy"], usage="On", default_value=True),
        Flag(["--devices"], kind=LIST, usage="Devices", default_text="[]"),
        Flag(["--secret"], usage="No", hidden=True),
    ]
    assert flag_usages(flags, 79).split("\n") == [
        "  -a, --all             Everything",
        "      --devices list    Devices (default [])",
        "      --empty string    Nothing",
        "      --filter filter   Filter",
        "      --label list      Labels",
        "  -n, --last int        Last (default -1)",
        '      --name string     A name (default "x")',
        "      --opt map         Options (default map[])",
        "      --proxy           On (default true)",
    ]


def test_a_quoted_word_names_the_value():
    flags = [Flag(["--to"], kind=STRING, usage="Send to `address`")]
    assert flag_usages(flags, 79) == "      --to address   Send to address"


def test_a_narrow_terminal_moves_the_text_to_lines_of_its_own():
    flags = [Flag(["--a-rather-long-flag"], kind=STRING, usage="Some words that do not fit beside the flag")]
    assert flag_usages(flags, 50).split("\n") == [
        "      --a-rather-long-flag string   ",
        "                Some words that do not fit",
        "                beside the flag",
    ]


def test_a_very_narrow_terminal_does_not_wrap():
    flags = [Flag(["--flag"], kind=STRING, usage="Some words that do not fit")]
    assert flag_usages(flags, 30).endswith("Some words that do not fit")
