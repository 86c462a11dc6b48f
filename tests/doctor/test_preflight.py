"""What a search refuses before it starts, and what it leaves alone."""

import asyncio
from contextlib import AsyncExitStack, nullcontext

import pytest

from tests.fakes.fake_vllm import fake_vllm
from ttc_client.errors import ServerError
from ttc_client.runtime.stack import open_servers
from ttc_client.search.ports import SampleRequest
from ttc_client.settings.servers import Servers


async def opened(policy: dict, prm: dict, *, check: bool = True, prm_faults: tuple = ()) -> None:
    """Open servers as a search does."""
    async with AsyncExitStack() as stack:
        scripted, _ = await stack.enter_async_context(fake_vllm(**policy))
        other, _ = await stack.enter_async_context(fake_vllm(*prm_faults, **prm))
        servers = Servers(policy=(scripted.url,), prm=(other.url,), check=check)
        async with open_servers(servers):
            pass


async def test_a_good_pair_is_let_through():
    await opened({}, {"judges": True})


@pytest.mark.parametrize(
    ("policy", "prm", "faults", "says"),
    [
        ({"judges": True}, {}, (), "exchange the URLs"),
        ({}, {}, (), "both serve policy"),
        ({}, {"judges": True}, ("one label",), "are one token"),
        ({"context_length": 200}, {"judges": True}, (), "longer context"),
    ],
)
async def test_what_would_ruin_a_search_is_refused_with_its_fix(policy, prm, faults, says):
    with pytest.raises(ServerError, match=says) as refused:
        await opened(policy, prm, prm_faults=faults)
    assert "--no-check" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    await opened(policy, prm, prm_faults=faults, check=False)


async def test_a_prm_that_tells_nothing_apart_is_warned_of(caplog):
    await opened({}, {"name": "other"})
    (warning,) = caplog.messages
    assert "this is no PRM" in warning
    assert "name the PRM's server with --prm" in warning


async def test_one_name_for_two_models_is_no_matter(caplog):
    await opened({"name": "model"}, {"name": "model", "judges": True})
    assert not caplog.messages


@pytest.mark.parametrize(("faults", "says"), [((), None), (("one label",), "are one token")])
async def test_a_prm_beside_a_function_is_checked_by_itself(faults, says):
    async def write(request: SampleRequest) -> list[str]:
        return ["x"] * request.n

    refused = pytest.raises(ServerError, match=says) if says else nullcontext()
    async with fake_vllm(*faults, judges=True) as (prm, _):
        with refused:
            async with open_servers(Servers(policy=(write,), prm=(prm.url,))):
                pass


async def test_what_cannot_be_found_out_in_time_is_left_to_the_search(monkeypatch):
    monkeypatch.setattr("ttc_client.doctor.preflight.PREFLIGHT_TIMEOUT_S", 0.1)
    asked = asyncio.Event()

    async def never(payload: dict) -> dict:
        if "items" in payload:
            asked.set()
            await asyncio.Event().wait()
        return {}

    async with fake_vllm() as (policy, _), fake_vllm(judges=True) as (prm, _):
        prm.replies["/generative_scoring"] = never
        async with open_servers(Servers(policy=(policy.url,), prm=(prm.url,))):
            assert asked.is_set()
    assert prm.closed_early


async def test_a_server_that_fails_is_left_to_the_search():
    async with fake_vllm() as (policy, _), fake_vllm("no /v1/models", judges=True) as (prm, _):
        servers = Servers(policy=(policy.url,), prm=(prm.url,), prm_api="score")
        async with open_servers(servers):
            pass
