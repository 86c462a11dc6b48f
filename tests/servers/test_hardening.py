"""What the embedded server refuses before it costs anything."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers.tiny_llama import write_model
from ttc_servers.embedded.launch import embedded_servers, is_loopback


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny", 1)


async def ask(url: str, head: str, body: bytes = b"") -> bytes:
    """Send bytes that no HTTP client sends, and return the answer's first line and body."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    text = f"{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(text.encode("latin-1") + body)
    answer = await reader.read()
    writer.close()
    return answer


async def test_what_no_client_sends_is_refused_at_once(model):
    async with embedded_servers(policy=model, prm=model) as (url, _):
        odd = await ask(url, "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer \xff\xfe")
        assert odd.startswith(b"HTTP/1.1 200")
        deep = await ask(url, "POST /tokenize HTTP/1.1", b'{"prompt":' + b"[" * 100_000)
        assert deep.startswith(b"HTTP/1.1 400")
        started_s = time.monotonic()
        for path, field in (
            ("/tokenize", "prompt"),
            ("/v1/completions", "prompt"),
            ("/generative_scoring", "query"),
            ("/score", "problem"),
        ):
            body = b'{"%s": "%s", "items": [["x"]]}' % (field.encode(), b"x" * 5_000_000)
            if path == "/generative_scoring":
                body = body.replace(b'[["x"]]', b'["x"], "label_token_ids": [1]')
            answer = await ask(url, f"POST {path} HTTP/1.1", body)
            assert answer.startswith(b"HTTP/1.1 400"), (path, answer[:300])
            assert b"maximum context length" in answer, (path, answer[:300])
        assert time.monotonic() - started_s < 10


async def test_a_key_is_no_bytes_and_guards_against_bytes(model):
    command = [sys.executable, "-m", "ttc_servers.embedded", "--until-stdin-closes"]
    command += ["--model", str(model), "--port", "0"]
    server = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"EMBEDDED_API_KEY": "secret"},
    )
    assert server.stdin
    assert server.stdout
    try:
        url = (await server.stdout.readline()).decode().strip()
        odd = await ask(url, "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer \xff\xfe")
        assert odd.startswith(b"HTTP/1.1 401")
    finally:
        server.stdin.close()
        await server.wait()


def test_a_key_that_no_header_carries_is_refused(model):
    command = [sys.executable, "-m", "ttc_servers.embedded", "--model", str(model)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"EMBEDDED_API_KEY": "se\ncret"},
    )
    assert done.returncode == 1
    assert "EMBEDDED_API_KEY holds a character" in done.stderr
    assert "cret" not in done.stderr


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("gpu1", False),
    ],
)
def test_only_loopback_addresses_are_private(host, loopback):
    assert is_loopback(host) == loopback
