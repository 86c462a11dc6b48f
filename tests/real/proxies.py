"""What stands before servers, configured for a test: nginx, HAProxy, LiteLLM, sglang-router."""

import base64
import json
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha1
from pathlib import Path
from urllib.parse import urlsplit

from tests.fakes.ports import free_port
from tests.real.conftest import serving

LOGIN = "Basic " + base64.b64encode(b"user:pass").decode()
MASTER_KEY = "sk-a-long-key-for-the-tests-0123456789"

_NGINX = """
user root; daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    gzip on; gzip_types application/json; gzip_min_length 1; gzip_proxied any;
    keepalive_timeout 1s;
    upstream models {{ server {address}; server 127.0.0.1:{dead}; }}
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {certificate}; ssl_certificate_key {certificate};
        auth_basic "models"; auth_basic_user_file {folder}/users;
        location /models/ {{ proxy_pass http://models/; }}
        location /hasty/ {{ proxy_pass http://models/; proxy_read_timeout 1ms; }}
    }}
}}
"""

_HAPROXY = """
global
    maxconn 256
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive 1s
    retries 2
    option redispatch
userlist users
    user user insecure-password pass
frontend models
    bind 127.0.0.1:{port} ssl crt {certificate} alpn h2,http/1.1
    http-request auth unless {{ http_auth(users) }}
    http-request replace-path /models/(.*) /\\1
    compression algo gzip
    compression type application/json
    default_backend servers
backend servers
    server one {address} check
    server dead 127.0.0.1:{dead}
"""


@contextmanager
def nginx(folder: Path, upstream: str, certificate: Path) -> Generator[str]:
    """Serve at `/models/`, behind TLS and Basic auth, with gzip, an upstream and a dead one.

    At `/hasty/` it waits for no answer.
    """
    password = base64.b64encode(sha1(b"pass").digest()).decode()
    (folder / "users").write_text(f"user:{{SHA}}{password}\n")
    port = _written(folder / "nginx.conf", _NGINX, upstream, certificate)
    command = ["nginx", "-p", folder, "-c", folder / "nginx.conf"]
    with serving(command, port, folder / "nginx.log"):
        yield f"https://localhost:{port}"


@contextmanager
def haproxy(folder: Path, upstream: str, certificate: Path) -> Generator[str]:
    """Serve the same, but for `/hasty/`."""
    port = _written(folder / "haproxy.cfg", _HAPROXY, upstream, certificate)
    command = ["haproxy", "-db", "-f", folder / "haproxy.cfg"]
    with serving(command, port, folder / "haproxy.log"):
        yield f"https://localhost:{port}"


def _written(file: Path, text: str, upstream: str, certificate: Path) -> int:
    port = free_port()
    address = urlsplit(upstream).netloc
    names = {"port": port, "dead": free_port(), "address": address, "folder": file.parent}
    file.write_text(text.format(**names, certificate=certificate))
    return port


@contextmanager
def litellm(environment: Path, folder: Path, upstream: str, model: str) -> Generator[str]:
    """Serve a model under two routes, `as-vllm` and `as-openai`, the latter with a cache."""
    api = {"api_base": f"{upstream}/v1", "api_key": "none"}
    routes = {"as-vllm": f"hosted_vllm/{model}", "as-openai": f"text-completion-openai/{model}"}
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": route, **api}}
            for name, route in routes.items()
        ],
        "litellm_settings": {"cache": True, "cache_params": {"type": "local"}},
        "general_settings": {"master_key": MASTER_KEY},
    }
    (folder / "litellm.yaml").write_text(json.dumps(config))
    port = free_port()
    command = [environment / "bin" / "litellm", "--config", folder / "litellm.yaml"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with serving(command, port, folder / "litellm.log", LITELLM_LOCAL_MODEL_COST_MAP="True"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def router(environment: Path, folder: Path, workers: list[str]) -> Generator[str]:
    """Spread requests over workers in turn, as SGLang's router does."""
    port = free_port()
    command = [environment / "bin" / "python", "-m", "sglang_router.launch_router"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--worker-urls", *workers]
    command += ["--policy", "round_robin", "--prometheus-port", str(free_port())]
    with serving(command, port, folder / "router.log"):
        yield f"http://127.0.0.1:{port}"
