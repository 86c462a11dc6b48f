"""Draw the guide's picture of the gateway's page: two searches of the demo models, in Chromium.

python -m scripts.bench.gateway_page .github/figures/gateway.png
"""

import asyncio
import base64
import sys
from pathlib import Path

from tests.browser import chromium, tab
from ttc_client.gateway.server import Serving, gateway_for, listening
from ttc_client.settings.config import load_settings

PROFILES = ("fast=best-of-n:16,task=math", "hard=dvts:16,task=math")


def once(condition: str) -> str:
    """Return a promise that is kept when a condition holds."""
    polled = f"const wait = () => {condition} ? done(true) : setTimeout(wait, 100); wait();"
    return f"new Promise(done => {{ {polled} }})"


async def draw(browser: str) -> bytes:
    """Search by both profiles on the page; return what it looks like then."""
    serving = Serving(port=0, profiles=PROFILES)
    settings = load_settings({}, {})
    async with (
        gateway_for(serving, settings) as gateway,
        listening(gateway, serving) as url,
        tab(browser) as page,
    ):
        await page.resize(1100, 900)
        await page.open(url + "/")
        await page.evaluate(once("document.querySelectorAll('#profile option').length"))
        await page.evaluate("fields.profile.selectedIndex = 1; fields.other.selectedIndex = 1")
        await page.evaluate("document.getElementById('form').requestSubmit()")
        await page.evaluate(once("status.textContent.startsWith('Done')"))
        shot = await page.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


if __name__ == "__main__":
    with chromium() as websocket:
        Path(sys.argv[1]).write_bytes(asyncio.run(draw(websocket)))
