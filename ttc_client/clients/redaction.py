"""Hide an API key in what a server says, in whichever way the server writes it."""

import re
from base64 import b64encode
from functools import lru_cache
from html import escape

_READ = 1 << 14
"""How much is looked at and returned: many times what is ever shown."""
_LEAST = 6
"""Characters of base64 that do not come up by chance."""


def redacted(text: str, key: str | None) -> str:
    """Return the beginning of a text without a key: as it is, escaped, in base64 or in hex.

    Escapes are those of URLs, JSON, HTML and source code, of all characters or of some.
    """
    return _pattern(key).sub("***", text[:_READ]) if key else text[:_READ]


def redacted_body(body: bytes, key: str | None) -> bytes:
    """Return a whole body with the key left out of its beginning."""
    return redacted(body[:_READ].decode("latin-1"), key).encode("latin-1") + body[_READ:]


@lru_cache(maxsize=16)
def _pattern(key: str) -> re.Pattern[str]:
    ways = ("".join(map(_spellings, key)), key.encode().hex(), *_in_base64(key))
    return re.compile("|".join(ways), re.IGNORECASE)


def _spellings(char: str) -> str:
    """Return a pattern of the ways to write a character."""
    code = ord(char)
    ways = [re.escape(char), rf"\\{re.escape(char)}", re.escape(escape(char))]
    ways += [f"%{code:02x}", rf"\\u{code:04x}", rf"\\x{code:02x}"]
    ways += [f"&#0*{code};", f"&#x0*{code:x};"]
    return f"(?:{'|'.join(ways)})"


def _in_base64(key: str) -> list[str]:
    """Return patterns of a key inside a longer text in base64, where it may begin at any byte.

    The characters at both ends also depend on what stands around the key, and are left out.
    """
    found: list[str] = []
    for before, dependent in enumerate((0, 2, 3)):
        code = b64encode(b"\0" * before + key.encode()).decode().rstrip("=")[dependent:-1]
        if len(code) >= _LEAST:
            found.append(re.escape(code).replace(r"\+", r"[+-]").replace("/", "[/_]"))
    return found
