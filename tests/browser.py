"""Drive a headless Chromium by the DevTools protocol, over a websocket."""

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import aiohttp

_FINDER = (Path(__file__).parents[1] / "scripts/install_browser", "--find")
_ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--remote-debugging-port=0",
)
_ANNOUNCED = "DevTools listening on "
_KEYS = {"Tab": 9, "Enter": 13, "ArrowUp": 38, "ArrowDown": 40}


@contextmanager
def chromium() -> Generator[str]:
    """Run a browser with a profile of its own; give the URL of its websocket."""
    found = subprocess.run(_FINDER, capture_output=True, text=True, check=False)
    if found.returncode:
        raise FileNotFoundError(found.stderr)
    with (
        TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        subprocess.Popen(
            [found.stdout.strip(), *_ARGUMENTS, f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            said = ""
            while (line := process.stderr.readline()) and not line.startswith(_ANNOUNCED):
                said += line
            if not line:
                raise RuntimeError(f"{found.stdout.strip()} did not start: {said}")
            Thread(target=process.stderr.read, daemon=True).start()  # lest the pipe fills up
            yield line.removeprefix(_ANNOUNCED).strip()
        finally:
            process.terminate()


@dataclass
class Tab:
    """A tab, and all that has happened in it.

    `complaints` holds what a console would show as an error, uncaught exceptions, and dialogs.
    """

    _socket: aiohttp.ClientWebSocketResponse
    _session: str = ""
    _ids: count = field(default_factory=lambda: count(1))
    _replies: dict[int, asyncio.Future] = field(default_factory=dict)
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def call(self, method: str, **params: Any) -> Any:
        """Return the result of a command; raises RuntimeError for one that fails."""
        number = next(self._ids)
        replied = self._replies[number] = asyncio.get_running_loop().create_future()
        addressee = {"sessionId": self._session} if self._session else {}
        command = {"id": number, "method": method, "params": params, **addressee}
        await self._socket.send_json(command)
        reply = await replied
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']}")
        return reply["result"]

    async def open(self, url: str) -> None:
        """Go to a page; returns once all of it is loaded."""
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """Return what JavaScript code in the page returns; promises are waited for."""
        done = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(json.dumps(done["exceptionDetails"]))
        return done["result"].get("value")

    async def press(self, key: str) -> None:
        """Press a key and let it go."""
        code = {"key": key, "code": key, "windowsVirtualKeyCode": _KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    async def resize(self, width: int, height: int = 800) -> None:
        """Give the page a window of so many CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)

    async def listen(self) -> None:
        """Take in replies and events for as long as the browser lives."""
        async for message in self._socket:
            event = message.json()
            if "id" in event:
                self._replies.pop(event["id"]).set_result(event)
            else:
                self._happened(event["method"], event["params"])
        raise ConnectionError("the browser is gone")

    def _happened(self, method: str, params: Any) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params))
            case "Page.javascriptDialogOpening":
                self.complaints.append(f"dialog: {params['message']}")


@asynccontextmanager
async def tab(browser: str) -> AsyncGenerator[Tab]:
    """Open an empty tab in the browser whose websocket's URL is given."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(browser, max_msg_size=0) as socket,
        asyncio.TaskGroup() as group,
    ):
        opened = Tab(socket)
        listening = group.create_task(opened.listen())
        target = (await opened.call("Target.createTarget", url="about:blank"))["targetId"]
        attached = await opened.call("Target.attachToTarget", targetId=target, flatten=True)
        opened._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await opened.call(f"{domain}.enable")
        yield opened
        await opened.call("Page.close")
        listening.cancel()
