"""The texts of errors: no text shows Python's errno."""

from __future__ import annotations

import pytest

from engine.errors import InvalidArgument, in_words, reason_of


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (FileNotFoundError(2, "No such file or directory", "/x"), "/x: no such file or directory"),
        (PermissionError(13, "Permission denied", b"/y"), "/y: permission denied"),
        (TimeoutError("timed out"), "timed out"),
        (TimeoutError(), "timed out"),
        (ConnectionResetError(), "ConnectionResetError"),
        (InvalidArgument("a Text"), "a Text"),
    ],
)
def test_an_error_in_words(error, text):
    assert in_words(error) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file or directory", "/x"), "no such file or directory"),
        (OSError("File or stream is not seekable"), "file or stream is not seekable"),
        (ConnectionResetError(), "connectionreseterror"),
    ],
)
def test_the_reason_of_an_error_has_no_number_and_no_file(error, text):
    assert reason_of(error) == text
