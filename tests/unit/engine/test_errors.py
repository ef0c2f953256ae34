"""The texts of errors: no text shows Python's errno."""

from __future__ import annotations

import pytest

from engine.errors import InvalidArgument, in_words


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
