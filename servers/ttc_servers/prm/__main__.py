"""Serve a PRM: `python -m ttc_servers.prm --model NAME_OR_DIR`."""

import argparse
import ipaddress
import os
import signal
import sys

import torch
import uvicorn
from transformers import AutoConfig, AutoTokenizer

from ttc_servers.prm.adapters import FAMILIES, find_family, load_adapter_class
from ttc_servers.prm.app import Info, create_app
from ttc_servers.prm.engine import Engine
from ttc_servers.prm.guard import guarded
from ttc_servers.prm.replica import Replica

KEEP_ALIVE_S = 75  # longer than clients keep an idle connection, so that none meets a closed one


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's settings."""
    parser = argparse.ArgumentParser(
        prog="python -m ttc_servers.prm",
        description="Serve a process reward model. The API key, if any, is TTC_PRM_API_KEY.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="name on the Hugging Face hub, or directory")
    parser.add_argument("--family", choices=FAMILIES, help="if its config and name do not tell")
    parser.add_argument("--adapter", metavar="PACKAGE.MODULE:NAME", help="a family of your own")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8001, help="port to listen on")
    parser.add_argument(
        "--gpus",
        type=int,
        default=torch.cuda.device_count(),
        help="one replica each, in bfloat16; 0: one on the CPU, in float32",
    )
    parser.add_argument("--max-batch-tokens", type=int, default=32768, help="of a padded batch")
    parser.add_argument(
        "--cache-gb", type=float, default=4.0, help="of prefixes' keys and values, per replica"
    )
    parser.add_argument("--max-queue", type=int, default=4096, help="solutions taken at once")
    parser.add_argument("--max-connections", type=int, default=1000, help="open at once")
    return parser.parse_args(argv)


def load(args: argparse.Namespace) -> tuple[Engine, Info]:
    """Load the model onto every device.

    Raises ValueError for settings that do not fit the model or the machine, OSError where there
    is no such model.
    """
    if args.gpus > torch.cuda.device_count():
        raise ValueError(f"--gpus {args.gpus}, but {torch.cuda.device_count()} are here")
    config = AutoConfig.from_pretrained(args.model, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(args.model, trust_remote_code=False)
    family = args.adapter or args.family or find_family(args.model, config)
    adapter_class = load_adapter_class(args.adapter) if args.adapter else FAMILIES[family]
    adapter = adapter_class(tokenizer, config)
    dtype = torch.bfloat16 if args.gpus else torch.float32
    devices = [f"cuda:{i}" for i in range(args.gpus)] or ["cpu"]
    replicas = []
    for device in devices:
        model = adapter.model_class.from_pretrained(
            args.model, dtype=dtype, trust_remote_code=False
        ).to(device)
        replicas.append(Replica(model, adapter, int(args.cache_gb * 1e9)))
    max_tokens = tokenizer.model_max_length
    if (num_positions := getattr(config, "max_position_embeddings", 0)) > 0:
        max_tokens = min(max_tokens, num_positions)
    engine = Engine(
        adapter,
        replicas,
        max_tokens=max_tokens,
        max_batch_tokens=args.max_batch_tokens,
        max_queue=args.max_queue,
    )
    return engine, Info(args.model, family, max_tokens)


def check_access(host: str, port: int, key: str) -> None:
    """Warn of a server that anyone can use; raises ValueError for a key no header can carry.

    Only loopback addresses are private: a name or an empty host may stand for any.
    """
    if key and not (key.isascii() and key.isprintable()):
        raise ValueError("TTC_PRM_API_KEY holds a character that no HTTP header can carry")
    if not key and not is_loopback(host):
        print(
            f"ttc_servers.prm: TTC_PRM_API_KEY is not set: whoever reaches port {port} can use "
            "the server",
            file=sys.stderr,
        )


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches a server on this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main(argv: list[str] | None = None) -> None:
    """Load the model and serve until SIGTERM or SIGINT; then finish what is in flight."""
    args = parse_args(argv)
    key = os.environ.get("TTC_PRM_API_KEY", "")
    try:
        check_access(args.host, args.port, key)
        engine, info = load(args)
    except (OSError, ValueError) as error:
        sys.exit(f"ttc_servers.prm: {error}")
    print(f"serving {info.model} as {info.family}, {info.max_tokens} tokens", file=sys.stderr)
    app = create_app(engine, info, key)
    for stop in (signal.SIGTERM, signal.SIGINT):  # uvicorn's own handlers raise it again at the end
        signal.signal(stop, lambda *_: None)
    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        log_level="info",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        ws="none",
        http=guarded(args.max_connections),
    )


if __name__ == "__main__":
    main()
