"""Where the servers of a configuration are, and how to speak to them."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ttc_client.clients.http import Server
from ttc_client.clients.routes import base_url
from ttc_client.clients.session import Session, tls_context
from ttc_client.errors import TTCError
from ttc_client.settings.config import SearchConfig, environment_proxy


@asynccontextmanager
async def server_urls(config: SearchConfig) -> AsyncGenerator[tuple[list[str], list[str]]]:
    """Give the URLs of the policy's and the PRM's servers, started for the occasion if need be."""
    async with AsyncExitStack() as stack:
        policy, prm = config.policy, config.prm
        if not policy:
            policy_url, prm_url = await stack.enter_async_context(demo_servers())
            policy, prm = (policy_url,), (prm_url,)
        yield (
            [base_url(url, "policy") for url in policy],
            [base_url(url, "prm") for url in prm] if config.uses_prm else [],
        )


@asynccontextmanager
async def demo_servers(policy_port: int = 0, prm_port: int = 0) -> AsyncGenerator[tuple[str, str]]:
    """Run the embedded servers, on free ports unless some are named; give their URLs.

    Raises TTCError, in a server's own words, if one does not start.
    """
    from ttc_servers.embedded import embedded_servers

    async with AsyncExitStack() as stack:
        try:
            urls = await stack.enter_async_context(
                embedded_servers(policy_port=policy_port, prm_port=prm_port)
            )
        except (RuntimeError, OSError) as error:
            raise TTCError(str(error)) from error
        yield urls


def session_for(config: SearchConfig) -> Session:
    """Return the session that all servers share; close it with `async with`."""
    return Session(tls_context(Path(config.ca_bundle) if config.ca_bundle else None))


def policy_server(config: SearchConfig, session: Session, url: str) -> Server:
    """Return how to speak to a policy's server."""
    return _server(config, session, url, config.policy_api_key, "TTC_POLICY_API_KEY")


def prm_server(config: SearchConfig, session: Session, url: str) -> Server:
    """Return how to speak to a PRM's server."""
    return _server(config, session, url, config.prm_api_key, "TTC_PRM_API_KEY")


def _server(
    config: SearchConfig,
    session: Session,
    url: str,
    api_key: str | None,
    key_variable: str,
) -> Server:
    return Server(
        session,
        url,
        config.timeout_s,
        api_key=api_key,
        key_variable=key_variable,
        proxy=environment_proxy(url),
        session_header=config.session_header,
    )
