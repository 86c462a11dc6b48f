"""Spoil what is right: JSON values, bodies and LaTeX, each at random and the same for a seed."""

import json
import random
from typing import Any

_VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "\n\n", "\x00\x1b[31m", "½🙂" * 5, "\u202e", [], {}, [None]),
    *(0, 1, -1, 2, 7, 2**31, 2**63, 10**30, -(10**30), 0.5, 1.0000001, -0.0, 1e-320, 1e308),
    *("length", "stop", "eos_token", "content_filter", "tool_calls", [[]], [[0.5]], {"": {}}),
)
_WORDS = (
    *(r"\frac{", r"\sqrt{", "^{", "_{", "{", "}", r"\left(", r"\right)", r"\text{", r"\boxed{"),
    *(r"\pm", r"\cup", r"\binom{9}{3}", "!", "9" * 50, "^" * 3, "(1,2]", r"\{1\}", "&", r"\\"),
    *("\x00", "\x1b[2J", "\u202e", "½", "𝟙", "\ud800", "\u0301", "٣", "²", "\u2028", "e+1", "0."),
    *("__import__('os')", "lambda:0", r"\operatorname{eye}(3000)", "9^{9^{9}}", "dx", "%", "$"),
)


def spoiled_value(value: Any, luck: random.Random) -> Any:
    """Return a JSON value with one place in it changed, doubled, moved or gone."""
    value = json.loads(json.dumps(value))
    places = list(_places(value))
    if not places:
        return luck.choice(_VALUES)
    parent, key = luck.choice(places)
    match luck.randrange(6):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, list):
            parent.insert(luck.randrange(len(parent) + 1), parent[key])
        case 2 if isinstance(parent, list):
            luck.shuffle(parent)
        case 3 if isinstance(parent[key], int | float):
            parent[key] += luck.choice((1, -1, 0.5, -1e9, 1e9))
        case 4 if isinstance(parent[key], str):
            parent[key] = spoiled_text(parent[key], luck)
        case _:
            parent[key] = luck.choice(_VALUES)
    return value


def _places(value: Any) -> Any:
    """Yield each container with each of its keys."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def spoiled_body(body: bytes, luck: random.Random) -> bytes:
    """Return a body with its bytes cut, changed or added to."""
    at = luck.randrange(len(body) + 1)
    end = min(len(body), at + luck.randrange(1, 9))
    return luck.choice(
        (
            lambda: body[:at],
            lambda: body[:at] + luck.randbytes(end - at) + body[end:],
            lambda: body[:at] + body[end:],
            lambda: body[:at] + luck.choice((b"NaN", b"Infinity", b"1e999", b"\xff", b"\\ud800")),
            lambda: (
                body[:at] + luck.choice((b"-", b"0", b"9", b"e9", b".", b",", b'"')) + body[at:]
            ),
            lambda: body + luck.choice((b"\n", b" ", b"{}", b"\x00", body)),
            lambda: luck.choice((b"[", b'{"a":', b'{"choices":')) * luck.choice((100, 100_000)),
            lambda: b"\xef\xbb\xbf" + body,
        )
    )()


def spoiled_text(text: str, luck: random.Random) -> str:
    """Return a text with a part of it cut, repeated, nested or joined by something else."""
    at = luck.randrange(len(text) + 1)
    end = min(len(text), at + luck.randrange(1, 9))
    word = luck.choice(_WORDS)
    return luck.choice(
        (
            lambda: text[:at],
            lambda: text[:at] + text[end:],
            lambda: text[:at] + word + text[at:],
            lambda: text[:at] + word + text[end:],
            lambda: text[:at] + text[at:end] * luck.choice((2, 10, 300)) + text[end:],
            lambda: word * luck.choice((1, 20, 600)) + text,
            lambda: f"{word}{text}}}",
            lambda: f"{text},{text}",
            lambda: text + chr(luck.choice((luck.randrange(0x20), luck.randrange(0x3000)))),
        )
    )()
