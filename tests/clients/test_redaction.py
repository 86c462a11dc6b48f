"""API keys in what servers say."""

import json
from base64 import b64encode, urlsafe_b64encode
from html import escape
from urllib.parse import quote

import pytest

from ttc_client.clients.redaction import redacted, redacted_body

KEY = 'sk-Ab1/+<x>&"z_9'

WRITTEN = {
    "as it is": KEY,
    "in capitals": KEY.upper(),
    "in a URL": quote(KEY, safe=""),
    "in a URL, all of it": "".join(f"%{ord(char):02X}" for char in KEY),
    "in JSON": json.dumps(KEY)[1:-1],
    "in JSON, with slashes": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "in JSON, all of it": "".join(f"\\u{ord(char):04x}" for char in KEY),
    "in HTML": escape(KEY),
    "in HTML, all of it": "".join(f"&#{ord(char)};" for char in KEY),
    "in HTML, by hex": "".join(f"&#x{ord(char):04X};" for char in KEY),
    "in code": "".join(f"\\x{ord(char):02x}" for char in KEY),
    "in hex": KEY.encode().hex(),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_a_key_is_hidden_in_whichever_way_it_is_written(way):
    text = f"before {WRITTEN[way]} after"
    assert redacted(text, KEY) == "before *** after"
    assert redacted_body(text.encode(), KEY) == b"before *** after"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "Bearer ", "user:"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_a_key_is_hidden_within_base64(before, encode):
    for after in ("", "1", "12", "123"):
        code = encode(f"{before}{KEY}{after}".encode()).decode()
        said = redacted(f"Basic {code}.", KEY)
        assert "***" in said
        left = said.removeprefix("Basic ").removesuffix(".").partition("***")
        assert len(left[0]) <= len(before) * 4 / 3 + 4
        assert len(left[2]) <= len(after) * 4 / 3 + 6


def test_other_text_stays_as_it_is():
    text = "sk-Ab1 \u043a\u0438 %41 &amp; " + "x" * 20_000
    assert redacted_body(text.encode(), KEY) == text.encode()
    assert redacted_body(b"\xff\x00\xfe", KEY) == b"\xff\x00\xfe"
    assert redacted("anything", None) == "anything"


def test_what_is_shown_is_the_beginning():
    assert len(redacted("x" * (1 << 26), KEY)) < 1 << 15
