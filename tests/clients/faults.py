"""What a server may do instead of answering, and the error that each must become."""

import asyncio
from dataclasses import dataclass

from aiohttp import web

from tests.fakes.scripted_server import Handler
from ttc_client.errors import ProtocolError, RequestError, ServerError, TransientServerError


@dataclass(frozen=True)
class Fault:
    answer: Handler
    error: type[ServerError]
    says: str = "."


async def _never(_: object) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


FAULTS = {
    "401": Fault(
        lambda _: web.json_response({"error": "Unauthorized"}, status=401),
        RequestError,
        r"401: Unauthorized .*THE_KEY",
    ),
    "404": Fault(lambda _: web.json_response({"detail": "Not Found"}, status=404), RequestError),
    "500": Fault(
        lambda _: web.json_response({"error": {"message": "engine dead"}}, status=500),
        TransientServerError,
        "500: engine dead",
    ),
    "html": Fault(
        lambda _: web.Response(text="<html>Welcome</html>", content_type="text/html"), ProtocolError
    ),
    "other JSON": Fault(lambda _: web.json_response({"hello": "world"}), ProtocolError),
    "half JSON": Fault(lambda _: web.Response(text='{"choices": [{"te'), ServerError),
    "never": Fault(_never, TransientServerError, r"no answer within 0\.\d+ s"),
}
