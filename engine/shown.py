"""Shows names that others chose in error messages, so that they cannot harm the terminal."""

from __future__ import annotations

_LIMIT = 200  # characters
