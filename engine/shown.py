"""Shows names that others chose in error messages, so that they cannot harm the terminal."""

from __future__ import annotations

_LIMIT = 200  # characters


def shown(name: bytes | str) -> str:
    """Return a short printable name as it is, any other one in double quotes, escaped and cut."""
    text = name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")
    return text if len(text) <= _LIMIT and text.isprintable() and text else quoted(text)


def quoted(text: str) -> str:
    """Return the text in double quotes, escaped and cut."""
    cut = text[:_LIMIT]
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in cut)
    return f'"{escaped}…"' if len(text) > _LIMIT else f'"{escaped}"'
