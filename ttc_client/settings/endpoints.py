"""How to speak to the servers that settings name, and the demo servers where they name none."""

import os
import warnings
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ttc_client.clients.http import Server
from ttc_client.clients.opening import tls_context
from ttc_client.clients.routes import base_url
from ttc_client.clients.session import Session
from ttc_client.clients.template_file import read_template
from ttc_client.clients.templates import Asking
from ttc_client.errors import TTCError
from ttc_client.settings.fleets import is_fleet
from ttc_client.settings.headers import headers_for
from ttc_client.settings.proxies import environment_proxy
from ttc_client.settings.servers import ENVIRONMENT_PREFIX, Place, Servers, json_object

DEMO_WARNING = "tiny demo models answer, often wrong; for real: --policy URL --prm URL"


class DemoWarning(UserWarning):
    """The demo models answer, since no server is named."""


@asynccontextmanager
async def server_places(servers: Servers) -> AsyncGenerator[tuple[list[Place], list[Place]]]:
    """Give the places of policy and verifier, started for the occasion if none are named.

    Fleets stay as they are named.

    Raises ConfigError for a place that is no URL, and TTCError where the demo servers do not
    start.
    """
    async with AsyncExitStack() as stack:
        policy, prm = servers.policies, servers.verifiers
        if servers.is_demo:
            warnings.warn(DEMO_WARNING, DemoWarning, stacklevel=2)
            policy_url, prm_url = await stack.enter_async_context(demo_servers())
            policy, prm = (policy_url,), (prm_url,)
        yield [_place(at, "policy") for at in policy], [_place(at, "prm") for at in prm]


def _place(place: Place, role: str) -> Place:
    return base_url(place, role) if isinstance(place, str) and not is_fleet(place) else place


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


def session_for(servers: Servers) -> Session:
    """Return the session that all servers share; close it with `async with`.

    Raises ConfigError for a CA bundle that cannot be read.
    """
    return Session(tls_context(Path(servers.ca_bundle) if servers.ca_bundle else None))


def policy_server(servers: Servers, session: Session, url: str) -> Server:
    """Return how to speak to a policy's server; raises ConfigError for a header without a value."""
    return _server(servers, session, url, "policy", servers.policy_api_key)


def asking_of(servers: Servers) -> Asking:
    """Return what goes with every request to the policy.

    Raises ConfigError for a template that cannot be read, and ExtraError where Jinja is missing.
    """
    return Asking(
        read_template(servers.chat_template, servers.tokenizer),
        json_object("chat_template_kwargs", servers.chat_template_kwargs),
        json_object("extra_body", servers.extra_body),
    )


def prm_server(servers: Servers, session: Session, url: str) -> Server:
    """Return how to speak to a PRM's server; raises ConfigError for a header without a value."""
    return _server(servers, session, url, "prm", servers.prm_api_key)


def _server(servers: Servers, session: Session, url: str, role: str, api_key: str | None) -> Server:
    return Server(
        session,
        url,
        servers.timeout_s,
        api_key=api_key,
        key_variable=f"{ENVIRONMENT_PREFIX}{role.upper()}_API_KEY",
        headers=headers_for(role, servers.header, os.environ),
        proxy=environment_proxy(url),
        session_header=servers.session_header,
    )
