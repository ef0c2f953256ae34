"""Control characters on a terminal: the tests check which characters are escaped, how, and what a template sees."""

from __future__ import annotations

import io
import json
import sys
import unicodedata

import pytest

from cli.app import App
from cli.output.terminal_escapes import escaped, escaped_line, marked, revealed, revealed_width
from cli.output.text import columns
from engine.errors import InvalidSettings, NotFound

HOSTILE = "a\x1b[2Jb\x9b31mc\x7f\u202ed\u2066\u2028\u200f\r"
SPELLED = r"a\u001b[2Jb\u009b31mc\u007f\u202ed\u2066\u2028\u200f\r"
HARMLESS = "plain, ünï, 网络, עברית, 👩\u200d💻 (joined), e\u0301, \u00a0, \\n as text"


def test_harmless_text_stays_as_it_is():
    assert [escaped(HARMLESS), escaped_line(HARMLESS), marked(HARMLESS), revealed(HARMLESS)] == [HARMLESS] * 4


def test_every_control_character_of_unicode_is_escaped():
    controls = [chr(n) for n in range(sys.maxunicode) if unicodedata.category(chr(n)) in ("Cc", "Zl", "Zp")]
    classes = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    bidi = [chr(n) for n in range(sys.maxunicode) if unicodedata.bidirectional(chr(n)) in classes]
    for each in [*controls, *bidi]:
        assert escaped_line(each).isascii() and escaped_line(each).isprintable(), hex(ord(each))
        assert escaped(each) == (each if each in "\n\t" else escaped_line(each))
        assert revealed(marked(each)) == escaped_line(each)
        assert json.loads(f'"{escaped_line(each)}"') == each


def test_hostile_text_is_escaped():
    assert escaped(HOSTILE) == SPELLED
    assert escaped("two\nlines\tand a tab") == "two\nlines\tand a tab"
    assert escaped_line("two\nlines\tand a tab") == r"two\nlines\tand a tab"


def test_bytes_that_are_not_utf8_are_escaped():
    """Bytes that are not UTF-8 are escaped too, because byte 9b begins a control sequence on some terminals."""
    text = b"\x9b31m\xff".decode(errors="surrogateescape")
    assert escaped(text) == escaped_line(text) == revealed(marked(text)) == r"\x9b31m\xff"


def test_each_control_character_in_a_document_is_replaced_by_one_mark():
    document = {"a\n": ["b\x1b", ("c\t", 1, None, True)], "plain": 2.5}
    replaced = marked(document)
    assert replaced == {"a\U0010000a": ["b\U0010001b", ["c\U00100009", 1, None, True]], "plain": 2.5}
    assert revealed(json.dumps(replaced, ensure_ascii=False)) == json.dumps(document)


def test_characters_that_look_like_marks_are_replaced():
    assert revealed(marked("\U0010001b[2J")) == "\ufffd[2J"


def test_the_width_of_a_mark_is_that_of_its_escape():
    assert revealed_width(marked("a\x1b网")) == columns(r"a\u001b网") == 9


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[True, False])
def app(request):
    """Return an app (hawse's output object), once with a terminal as output, and once with a pipe."""
    stream = Terminal if request.param else io.BytesIO
    return App(stdin=io.BytesIO(), stdout=stream(), stderr=stream())


def test_text_is_escaped_only_on_a_terminal(app):
    spell = app.on_terminal
    app.out(f"{HOSTILE}\n")
    app.err(f"{HOSTILE}\n")
    assert app.stdout.getvalue().decode() == app.stderr.getvalue().decode() == f"{SPELLED if spell else HOSTILE}\n"


def test_line_breaks_inside_a_line_are_escaped_on_a_terminal(app):
    app.out_lines(["one\ntwo", "three"])
    app.err_lines(["one\ntwo"])
    assert app.stdout.getvalue() == (b"one\\ntwo\nthree\n" if app.on_terminal else b"one\ntwo\nthree\n")
    assert app.stderr.getvalue() == (b"one\\ntwo\n" if app.on_terminal else b"one\ntwo\n")


def test_line_breaks_in_errors_are_escaped_on_a_terminal_except_in_lists(app):
    assert app.daemon_text(NotFound("no a\nb")).count("\n") == (0 if app.on_terminal else 1)
    assert app.daemon_text(InvalidSettings("two:\n* a\n* b")) == "Error response from daemon: two:\n* a\n* b"


def test_escape_sequences_of_the_users_template_are_kept(app):
    app.out_rendered(f"\x1b[1m{app.protected(HOSTILE)}\x1b[0m\n")
    middle = SPELLED if app.on_terminal else HOSTILE
    assert app.stdout.getvalue().decode() == f"\x1b[1m{middle}\x1b[0m\n"
