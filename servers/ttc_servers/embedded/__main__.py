"""`python -m ttc_servers.embedded`: serve one model on one port in the foreground."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from ttc_servers.embedded.launch import HOST, blas_settings, is_loopback

KEY_VARIABLE = "EMBEDDED_API_KEY"
PACKAGED = Path(__file__).parents[1] / "models"


def main() -> None:
    """Parse the command line and serve until interrupted or until standard input closes."""
    parser = argparse.ArgumentParser(
        prog="python -m ttc_servers.embedded",
        description=f"{__doc__} The API key, if any, is {KEY_VARIABLE}.",
    )
    parser.add_argument("--model", default="policy", help="policy, prm, or a model directory")
    parser.add_argument(
        "--served-model-name",
        help="name in the API (default: ttc-demo-policy, ttc-demo-prm, or the directory's)",
    )
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=8000, help="0 for any free one")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when standard input closes"
    )
    args = parser.parse_args()
    settings = blas_settings()
    if any(os.environ.get(name) != value for name, value in settings.items()):
        # OpenBLAS reads its settings when it is loaded.
        command = [sys.executable, "-m", "ttc_servers.embedded", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **settings})
    is_packaged = args.model in ("policy", "prm")
    directory = PACKAGED / args.model if is_packaged else Path(args.model)
    name = f"ttc-demo-{args.model}" if is_packaged else directory.name
    try:
        asyncio.run(_serve(args, directory, args.served_model_name or name))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


async def _serve(args: argparse.Namespace, directory: Path, name: str) -> None:
    from aiohttp import web

    from ttc_servers.embedded.server import ModelServer

    key = os.environ.get(KEY_VARIABLE, "")
    if key and not (key.isascii() and key.isprintable()):
        raise ValueError(f"{KEY_VARIABLE} holds a character that no HTTP header can carry")
    server = ModelServer(directory, name, key)
    runner = web.AppRunner(server.app(), handler_cancellation=True, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, args.host, args.port, backlog=1024).start()
        host = f"[{args.host}]" if ":" in args.host else args.host
        if not key and not is_loopback(args.host):
            print(
                f"{KEY_VARIABLE} is not set: whoever reaches port {args.port} can use the server",
                file=sys.stderr,
            )
        print(f"http://{host}:{runner.addresses[0][1]}", flush=True)
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        if args.until_stdin_closes:
            # Ctrl-C reaches the whole foreground group; the caller closes the pipe when it is done.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            reader = asyncio.StreamReader()
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
            closed = asyncio.create_task(reader.read())
            closed.add_done_callback(lambda _: stopped.set())
        await stopped.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    main()
