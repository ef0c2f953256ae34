"""Escaping for HTML, JavaScript and URLs as the functions html, js and urlquery do it.

It knows bytes only, no values.
"""

from __future__ import annotations

from cli.formatting.text import decode, encode, is_invalid

_HTML = {
    b"&": b"&amp;",
    b"\0": "\ufffd".encode(),
    b'"': b"&#34;",
    b"'": b"&#39;",
    b"<": b"&lt;",
    b">": b"&gt;",
}
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


def html(data: bytes) -> bytes:
    """Escape for HTML text and quoted attributes."""
    for plain, escaped in _HTML.items():
        data = data.replace(plain, escaped)
    return data


def _js_rune(rune: str) -> str:
    if rune in _JS:
        return _JS[rune]
    if is_invalid(rune):
        # Go looks at one byte of U+FFFD, which prints, and copies the byte.
        return rune
    if rune < " " or not (rune.isprintable() or rune == "\x7f"):
        return f"\\u{ord(rune):04X}"
    return rune


def javascript(data: bytes) -> bytes:
    """Escape for JavaScript strings."""
    return encode("".join(_js_rune(rune) for rune in decode(data)))


def url_query(data: bytes) -> bytes:
    """Escape for the value of a URL query."""
    return b"".join(
        b"+" if byte == 0x20 else bytes((byte,)) if byte in _UNRESERVED else b"%%%02X" % byte for byte in data
    )
