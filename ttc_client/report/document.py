"""Put a page together: one HTML file with its style, its script and its data, and nothing else.

What models and data sets wrote is escaped, or given to the page as JSON that it shows as text.
Should markup get in all the same, the page's content security policy keeps it from running.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

import msgspec

from ttc_client.report import palette
from ttc_client.report.terminal import clean


def document(
    title: str, body: str, name: str, data: object, scripts: Sequence[str], *, live: bool = False
) -> str:
    """Return a page; `name` is the id of the data's element.

    `scripts` are files of this package, or texts that begin with a comment. A `live` page may ask
    the server that it came from.
    """
    texts = [text if text.startswith("//") else asset(text) for text in scripts]
    script = "\n" + "".join(texts)
    return filled(
        asset("page.html"),
        {
            "DIGEST": _digest(script),
            "CONNECT": "connect-src 'self'; " if live else "",
            "TITLE": shown(title),
            "STYLE": palette.css() + "\n" + asset("page.css"),
            "BODY": body,
            "DATA NAME": name,
            "DATA": msgspec.json.encode(data).decode().replace("<", "\\u003c"),
            "SCRIPT": script,
        },
    )


def filled(template: str, parts: Mapping[str, str]) -> str:
    """Return a template with its places, written as comments, filled with HTML."""
    head, *rest = template.split("<!--")
    pieces = [head]
    for piece in rest:
        name, text = piece.split("-->", 1)
        pieces += [parts[name], text]
    return "".join(pieces)


def shown(text: str) -> str:
    """Return a text as HTML that shows it, and nothing that would not be seen."""
    return escape(clean(text))


def paragraphs(lines: Sequence[str], kind: str) -> str:
    """Return a paragraph of a class for each line of text."""
    return "".join(f'<p class="{kind}">{shown(line)}</p>\n' for line in lines)


def asset(name: str) -> str:
    """Return a file of this package."""
    return files("ttc_client.report").joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Return what allows the page's own script to run, and none besides."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
