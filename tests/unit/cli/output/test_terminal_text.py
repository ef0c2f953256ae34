"""The tests check help, reports and errors as a user at a terminal sees them."""

from __future__ import annotations

import pytest

from cli.output.terminal_text import first_word, help_page, report_line


def wrapped(text: str, width: int) -> list[str]:
    return help_page(text, width, color=False).split("\n")


def test_a_text_that_fits_stays_as_it_is():
    text = "Usage:  hawse\n\n  one   two\n  three four"
    assert help_page(text, 80, color=False) == text
    assert help_page(text, 0, color=False) == text


def test_a_description_continues_below_its_beginning():
    assert wrapped("  attach      Attach local standard input, output, and error streams", 40) == [
        "  attach      Attach local standard",
        "              input, output, and error",
        "              streams",
    ]


def test_the_lines_of_a_paragraph_are_joined():
    text = "Image:\n  An image is a root file system: one,\n  two, or three."
    assert wrapped(text, 30) == ["Image:", "  An image is a root file", "  system: one, two, or three."]


def test_a_command_is_continued_with_a_backslash_outside_of_quotes():
    assert wrapped("  hawse ps --format '{{.Names}}: {{.Ports}}' --all", 40) == [
        "  hawse ps --format \\",
        "      '{{.Names}}: {{.Ports}}' --all",
    ]


def test_headings_commands_flags_and_comments_have_colours():
    page = help_page(
        "Usage:  hawse\n\nOptions:\n  -f, --filter filter   Text\n      --quiet   Text\n  run   Run\n  # note\n"
        "                networks",
        80, color=True,
    )  # fmt: skip
    assert page.split("\n") == [
        "\x1b[1mUsage:\x1b[0m  hawse", "", "\x1b[1mOptions:\x1b[0m", "  \x1b[36m-f, --filter\x1b[0m filter   Text",
        "      \x1b[36m--quiet\x1b[0m   Text", "  \x1b[36mrun\x1b[0m   Run", "\x1b[90m  # note\x1b[0m",
        "                networks",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Error response from daemon: no", "Error"),
        ("hawse: no", "hawse:"),
        ('"hawse run" requires at least 1 argument.', '"hawse run"'),
    ],
)
def test_the_first_word_of_an_error_is_red(text, word):
    assert first_word(text, "red") == f"\x1b[31m\x1b[1m{word}\x1b[0m{text.removeprefix(word)}"


def test_a_help_text_has_no_red_word():
    assert first_word("\nUsage:  hawse network COMMAND", "red") == "\nUsage:  hawse network COMMAND"


def test_titles_and_keys_of_a_report_have_colours():
    assert report_line("Server:") == "\x1b[1mServer:\x1b[0m"
    assert report_line("  Running: 3") == "  \x1b[36mRunning:\x1b[0m 3"
    assert report_line("  seccomp") == "  seccomp"
