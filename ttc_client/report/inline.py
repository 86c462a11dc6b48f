"""Put a figure's SVG into a page: in the reader's colours, as wide as there is room, described."""

import re
from html import escape

from ttc_client.report.palette import variable

_DROPPED = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)
_GROUP_NAME = re.compile(r'<g id="[^"]*"')
_NAMED = re.compile(r'(\bid="|href="#|url\(#)')
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_HEAD = re.compile(r"<svg\b[^>]*>")
_BOX = re.compile(r'viewBox="[-0-9. ]+"')


def inline(svg: str, key: str, caption: str) -> str:
    """Return matplotlib's SVG as an element of a page; `key` keeps its ids apart from others'."""
    body = _DROPPED.sub("", svg[svg.index("<svg") :])
    head = _HEAD.match(body)
    box = head and _BOX.search(head[0])
    if not head or not box:
        raise ValueError("this is no SVG of matplotlib's")
    drawn = _GROUP_NAME.sub("<g", body[head.end() :])
    drawn = _NAMED.sub(lambda found: found[0] + key + "-", drawn)
    drawn = _COLOUR.sub(lambda found: variable(found[0]), drawn)
    kind = "narrow" if key.endswith("narrow") else "wide"
    attributes = f'class="{kind}" role="img" aria-label="{escape(caption)}" {box[0]}'
    return f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {attributes}>{drawn}'
