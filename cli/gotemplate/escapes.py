"""Escape text (bytes) for HTML, JavaScript and URLs, as the template functions html, js and urlquery do."""

from __future__ import annotations

from cli.gotemplate.text import decode, encode, is_invalid

_HTML = {
    b"&": b"&amp;",
    b"\0": "\ufffd".encode(),
    b'"': b"&#34;",
    b"'": b"&#39;",
    b"<": b"&lt;",
    b">": b"&gt;",
}
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
_URL = {byte: f"%{byte:02X}" for byte in range(256) if byte not in _UNRESERVED} | {0x20: "+"}


class _JsTable(dict[int, str]):
    """A table that maps code points to JavaScript escapes; each entry is computed at first use."""

    def __missing__(self, code: int) -> str:
        rune = self[code] = _js_rune(chr(code))
        return rune


def html(data: bytes) -> bytes:
    """Escape text for HTML text and quoted attributes."""
    for plain, escaped in _HTML.items():
        data = data.replace(plain, escaped)
    return data


def _js_rune(rune: str) -> str:
    if rune in _JS:
        return _JS[rune]
    # Do not escape a byte that is not UTF-8. Go decodes such a byte as U+FFFD, a printable character. For a printable
    # character, Go copies the original bytes to the output.
    if rune >= " " and (rune.isprintable() or rune == "\x7f" or is_invalid(rune)):
        return rune
    return f"\\u{ord(rune):04X}"


def javascript(data: bytes) -> bytes:
    """Escape text for JavaScript strings."""
    return encode(decode(data).translate(_JsTable()))


def url_query(data: bytes) -> bytes:
    """Escape text for the value of a URL query."""
    return data.decode("latin-1").translate(_URL).encode()
