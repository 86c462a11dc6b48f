"""The checks that every server gets, and those of a PRM and of the pair."""

import asyncio

import pytest
from aiohttp import web

from tests.fakes.fake_vllm import fake_vllm
from tests.fakes.scripted_server import own_ca, scripted_server
from ttc_client.clients.connect import connect_prm
from ttc_client.clients.http import Server
from ttc_client.clients.opening import tls_context
from ttc_client.clients.session import Session
from ttc_client.doctor import pair, prm
from ttc_client.doctor.prm import Judgement
from ttc_client.doctor.server import keep_alive, reachable, speed, versioned
from ttc_client.errors import TransientServerError
from ttc_client.search.params import SearchParams

GOOD, BAD = Judgement(0.9, 0.1), Judgement(0.02, 0.03)


async def test_the_version_is_said_where_the_server_says_it():
    async with fake_vllm() as (_, server):
        assert (await versioned(server)).seen == "0.32.0"
    async with fake_vllm("no /version") as (_, server):
        assert (await versioned(server)).status == "skip"


async def test_a_server_is_reached_whatever_it_answers_and_ill_if_it_says_so():
    async with fake_vllm("no /health") as (_, server):
        assert (await reachable(server)).status == "ok"
    ill = {"/health": lambda _: web.Response(status=503)}
    async with scripted_server(ill) as scripted, Session() as session:
        with pytest.raises(TransientServerError, match="503"):
            await reachable(Server(session, scripted.url, timeout_s=5))


@pytest.mark.parametrize(("kept_s", "status"), [(60.0, "ok"), (0.02, "warn")])
async def test_connections_that_the_server_closes_early_are_seen(kept_s, status):
    async def health(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, keepalive_timeout=kept_s)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = "http://127.0.0.1:{}".format(*runner.addresses[0][1:])
        async with Session() as session:
            found = await keep_alive(Server(session, url, timeout_s=5), idle_s=0.3)
    finally:
        await runner.cleanup()
    assert found.status == status


async def test_an_idle_connection_is_seen_behind_a_ca_of_ones_own(tmp_path):
    tls, bundle = own_ca(tmp_path)
    async with scripted_server({"/health": lambda _: {}}, tls=tls) as scripted:
        url = scripted.url.replace("127.0.0.1", "localhost")
        async with Session(tls_context(bundle)) as session:
            found = await keep_alive(Server(session, url, 5), idle_s=0.1)
    assert found.status == "ok"


async def test_speed_is_measured_alone_and_in_a_crowd():
    in_flight = most = 0

    async def ask(_: int) -> int:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0.01)
        in_flight -= 1
        return 10

    found = await speed(ask, "tokens", 64)
    assert found.status == "ok"
    assert most == 64
    assert "64 in flight" in found.seen


async def test_a_crowd_that_the_server_refuses_is_a_warning():
    async def ask(index: int) -> int:
        if index > 32:
            raise TransientServerError("answered 503: full", url="")
        return 1

    found = await speed(ask, "tokens", 64)
    assert (found.status, found.fix.split(",")[0]) == ("warn", "--concurrency 32")
    assert "32 of 64 requests at once failed" in found.seen


async def test_a_crowd_that_is_no_faster_than_one_is_a_warning(monkeypatch):
    now_s = 0.0

    async def ask(index: int) -> int:
        nonlocal now_s
        now_s += 2.0 if index else 1.0
        return 1

    monkeypatch.setattr("ttc_client.doctor.server.monotonic", lambda: now_s)
    assert (await speed(ask, "tokens", 8)).status == "warn"


async def test_a_prm_passes_and_a_policy_in_its_place_does_not():
    async with fake_vllm(judges=True) as (_, server):
        client = await connect_prm(server, "auto")
        assert prm.judgement(await prm.judge(client)).status == "ok"
        assert (await prm.labels(client)).status == "ok"
        assert (await prm.context(client, SearchParams())).status == "ok"
    async with fake_vllm() as (_, server):
        found = prm.judgement(await prm.judge(await connect_prm(server, "auto")))
    assert found.status == "fail"
    assert "--prm" in found.fix


@pytest.mark.parametrize(
    ("right", "wrong", "status"),
    [
        (0.9, 0.2, "ok"),
        (0.3, 0.1, "ok"),
        (0.9, 0.85, "warn"),
        (0.9, 0.9, "fail"),
        (0.05, 0.01, "fail"),
    ],
)
def test_a_judgement_must_put_right_over_wrong(right, wrong, status):
    assert prm.judgement(Judgement(right, wrong)).status == status


async def test_two_labels_that_are_one_token_are_none():
    async with fake_vllm("one label", judges=True) as (_, server):
        found = await prm.labels(await connect_prm(server, "generative-scoring"))
    assert found.status == "fail"


async def test_a_prm_that_reads_less_than_the_policy_writes_is_a_warning():
    async with fake_vllm(judges=True, context_length=1000) as (_, server):
        client = await connect_prm(server, "auto")
        assert (await prm.context(client, SearchParams())).status == "warn"


async def test_policy_and_prm_swapped_are_told_apart_from_a_prm_that_is_none():
    async with fake_vllm(judges=True) as (_, a_prm), fake_vllm() as (_, a_policy):
        fine = await pair.roles(a_policy, GOOD, {"policy"}, {"prm"})
        swapped = await pair.roles(a_prm, BAD, {"prm"}, {"policy"})
        two_policies = await pair.roles(a_policy, BAD, {"policy"}, {"other"})
        same = await pair.roles(a_policy, BAD, {"policy"}, {"policy"})
    assert (fine.status, two_policies.status) == ("ok", "ok")
    assert (swapped.status, swapped.fix) == ("fail", "exchange the URLs of --policy and --prm")
    assert (same.status, "both serve policy" in same.seen) == ("fail", True)
