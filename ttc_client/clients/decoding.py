"""Undo the compression of a body, up to the bytes that a body may have. Knows nothing of HTTP."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterable

from ttc_client.clients.connection import MAX_BODY_BYTES, TURN_BYTES, TooLongError

_GZIP = 16 + zlib.MAX_WBITS


class NotGzipError(Exception):
    """The body is not gzip, or not all of it."""


class _Gunzip:
    """Decompress bit by bit; raises NotGzipError."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP)

    def some(self, body: bytes, most: int) -> bytes:
        """Return `most` bytes at most; what is `rest` of the body then comes next."""
        try:
            return self._zlib.decompress(body, most)
        except zlib.error as error:
            raise NotGzipError(str(error)) from error

    @property
    def rest(self) -> bytes:
        return self._zlib.unconsumed_tail

    def check_end(self) -> None:
        if not self._zlib.eof:
            raise NotGzipError("it is cut short")
        if self._zlib.unused_data:
            raise NotGzipError("something follows its end")


def decompressed(body: bytes) -> bytes:
    """Return what a body of gzip holds; raises NotGzipError and TooLongError."""
    gunzip = _Gunzip()
    held = gunzip.some(body, MAX_BODY_BYTES + 1)
    if len(held) > MAX_BODY_BYTES:
        raise _too_long(held)
    gunzip.check_end()
    return held


async def decompressing(pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """Yield what pieces of gzip hold, as they come; raises NotGzipError and TooLongError.

    Other tasks get their turn in between, however much a piece holds.
    """
    gunzip, left = _Gunzip(), MAX_BODY_BYTES
    async for piece in pieces:
        rest, is_full = piece, True
        while is_full:
            held = gunzip.some(rest, TURN_BYTES)
            rest, is_full = gunzip.rest, len(held) == TURN_BYTES
            left -= len(held)
            if left < 0:
                raise _too_long(held)
            if held:
                yield held
            if is_full:
                await asyncio.sleep(0)
    gunzip.check_end()


def _too_long(held: bytes) -> TooLongError:
    return TooLongError(MAX_BODY_BYTES, held, " once decompressed")
