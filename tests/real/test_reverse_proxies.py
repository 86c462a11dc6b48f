"""nginx and HAProxy: TLS, a prefix, gzip, a dead upstream, short keep-alive, Basic auth."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.real.conftest import Models
from tests.real.proxies import LOGIN, haproxy, nginx
from ttc_client import Client, SearchParams
from ttc_client.clients.http import Server
from ttc_client.clients.opening import tls_context
from ttc_client.clients.session import Session
from ttc_client.clients.vllm import VLLMPolicy
from ttc_client.errors import RequestError, TransientServerError
from ttc_client.settings.servers import Servers

PROXIES = {"nginx": nginx, "HAProxy": haproxy}


@pytest.fixture(scope="module")
def bundle(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the certificate of a CA; beside it, in `localhost.pem`, lie localhost's and its key."""
    folder, authority = tmp_path_factory.mktemp("ca"), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "localhost.pem"))
    return folder / "ca.pem"


@pytest.fixture(scope="module", params=PROXIES)
def proxied(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    embedded: Models,
    bundle: Path,
) -> Iterator[Models]:
    start = PROXIES[request.param]
    folders = [tmp_path_factory.mktemp(role) for role in ("policy", "prm")]
    with (
        start(folders[0], embedded.policy, bundle.with_name("localhost.pem")) as policy,
        start(folders[1], embedded.prm, bundle.with_name("localhost.pem")) as prm,
    ):
        yield Models(policy, prm)


async def test_a_search_runs_through_it(
    proxied: Models, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_LOGIN", LOGIN)
    servers = Servers(
        policy=f"{proxied.policy}/models",
        prm=f"{proxied.prm}/models",
        header=("Authorization=GATEWAY_LOGIN",),
        ca_bundle=str(bundle),
    )
    params = SearchParams(strategy="dvts", n=8, m=4, max_completion_tokens=256)
    async with Client(servers) as client:
        result = await client.solve("Compute $17 + 25$.", params)
    assert not result.usage.failures
    assert sum(candidate.votes for candidate in result.candidates) == 8


async def test_it_says_that_it_wants_a_login_and_not_a_key(proxied: Models, bundle: Path) -> None:
    async with Session(tls_context(bundle)) as session:
        server = Server(session, f"{proxied.policy}/models", 30)
        with pytest.raises(RequestError, match=r"wants Basic .* --header Authorization="):
            await VLLMPolicy.connect(server, None)


async def test_connections_that_it_closes_soon_are_opened_again(
    proxied: Models, bundle: Path
) -> None:
    async with Session(tls_context(bundle)) as session:
        headers = {"Authorization": LOGIN}
        server = Server(session, f"{proxied.policy}/models", 30, headers=headers)
        for pause_s in (1.2, 0.0):
            assert "ttc-demo-policy" in await server.get_text("/v1/models")
            await asyncio.sleep(pause_s)
        assert session.num_opened == 2


async def test_a_read_time_out_of_the_proxy_is_said_to_be_one(
    embedded: Models, bundle: Path, tmp_path: Path
) -> None:
    with nginx(tmp_path, embedded.policy, bundle.with_name("localhost.pem")) as url:
        async with Session(tls_context(bundle)) as session:
            server = Server(session, f"{url}/hasty", 30, headers={"Authorization": LOGIN})
            payload = {"model": "ttc-demo-policy", "prompt": "1", "max_tokens": 200}
            with pytest.raises(TransientServerError, match=r"504.*proxy_read_timeout"):
                await server.post("/v1/completions", payload, dict)
