"""A bench run in process, against scripted servers that answer by chance."""

import asyncio
import gc
import itertools
from types import FunctionType, ModuleType

import pytest
from aiohttp import web

from tests.fakes.chance_servers import chance_servers, score, write
from tests.fakes.scripted_server import completions
from tests.tables import table
from ttc_client.bench.bench import Bench
from ttc_client.bench.grid import Grid
from ttc_client.bench.journal import Journal
from ttc_client.bench.runs import read_run, read_traces
from ttc_client.errors import TTCError
from ttc_client.runtime.client import Client
from ttc_client.runtime.records import key_of
from ttc_client.search.params import SearchParams
from ttc_client.search.table import Choice
from ttc_client.settings.config import Settings, load_settings
from ttc_client.settings.servers import Servers
from ttc_client.types import Problem, Usage

GRID = Grid(("greedy", "best-of-n", "beam", "dvts"), (4, 8), (0, 1))
PROBLEMS = [Problem(question=f"problem {i}", id=str(i), gold=str(i % 3)) for i in range(6)]
NUM_SEARCHES = len(PROBLEMS) * (1 + 2 + 4 + 4)


async def run(url: str, path, problems=PROBLEMS, *, resume=False, **settings) -> Bench:
    loaded = settings_for(url, **settings)
    with Journal(path, {}, problems, resume=resume) as journal:
        bench = Bench(problems, GRID.searches(loaded), journal)
        async with Client(loaded.servers) as client:
            await bench.run(client)
    return bench


def settings_for(url: str, **settings) -> Settings:
    urls = {"policy": url, "prm": url, "check": False}
    return load_settings({**urls, "max_steps": 3, **settings}, {})


async def test_every_search_is_a_graded_line_in_the_plans_order_with_cost_and_trace(tmp_path):
    async with chance_servers() as server:
        bench = await run(server.url, tmp_path)
    found = read_run(tmp_path)
    searches = GRID.searches(load_settings({}, {}))
    assert [(k.strategy, k.n, k.seed, k.id) for k in found.records] == [
        (s.strategy, s.n, s.seed, p.id) for s in searches for p in PROBLEMS
    ]
    assert set(found.costs) == set(found.records)
    assert len(list(read_traces(tmp_path))) == NUM_SEARCHES
    for record in found.records.values():
        gold = found.problems[record.id].gold
        assert all(graded.grade == (graded.answer == gold) for graded in record.answers)
        assert sum(s.votes for s in record.samples) <= record.n
    standing = bench.standing
    assert sum(standing.finished.values()) == standing.num_searches == NUM_SEARCHES
    right = [record.grade for record in found.records.values()]
    assert 0 < sum(right) < NUM_SEARCHES
    assert standing.left == 0
    assert not standing.running
    assert standing.usage == sum((c.usage for c in found.costs.values()), Usage())


async def test_the_outcome_does_not_depend_on_how_many_run_at_once(tmp_path):
    async with chance_servers() as server:
        await run(server.url, tmp_path / "many", concurrency=64)
        await run(server.url, tmp_path / "one", concurrency=1)
    many, one = ((tmp_path / name / "results.jsonl").read_bytes() for name in ("many", "one"))
    assert many == one


async def test_searches_run_together_up_to_the_bound(tmp_path):
    in_flight, most, full = 0, 0, asyncio.Event()

    async def reply(payload):
        nonlocal in_flight, most
        in_flight += payload["n"]
        most = max(most, in_flight)
        if most > 8:
            full.set()
        await full.wait()
        in_flight -= payload["n"]
        return completions(write)(payload)

    async with chance_servers(completions=reply) as server, asyncio.timeout(60):
        await run(server.url, tmp_path, concurrency=16)
    assert most <= 16


async def test_more_are_opened_as_the_servers_turn_out_to_take_more(tmp_path, monkeypatch):
    capacities = itertools.count(1)
    monkeypatch.setattr(Client, "capacity", property(lambda _: next(capacities)))
    open_now, most = set(), []
    solve = Client.solve

    async def watched(self, problem, params, *, meter):
        open_now.add(meter_id := id(meter))
        most.append(len(open_now))
        try:
            return await solve(self, problem, params, meter=meter)
        finally:
            open_now.discard(meter_id)

    monkeypatch.setattr(Client, "solve", watched)
    async with chance_servers() as server:
        await run(server.url, tmp_path)
    assert most[0] == 1
    assert max(most) > 4


async def test_a_failed_search_is_an_error_line_with_a_cost_and_is_retried_on_resume(tmp_path):
    def refuse(payload):
        if payload["problem"] == "problem 10":
            return web.json_response({"error": {"message": "I will not"}}, status=400)
        return score(payload)

    problems = [
        Problem(question="problem 1", id="even", gold="1"),
        Problem(question="problem 10", id="odd", gold="1"),
    ]
    async with chance_servers(score=refuse) as server:
        bench = await run(server.url, tmp_path / "run", problems)
    found = read_run(tmp_path / "run")
    failed = found.failed
    assert set(found.costs) == set(found.records)
    assert all(found.costs[key_of(record)].usage.completion_tokens for record in failed)
    assert bench.standing.num_failed == len(failed) > 0
    assert len({record.id for record in failed}) == 1
    assert all("I will not" in record.error for record in failed)
    assert {(record.error_type, record.traceback) for record in failed} == {("RequestError", "")}
    assert "I will not" in bench.standing.latest_error
    async with chance_servers() as server:
        again = await run(server.url, tmp_path / "run", problems, resume=True)
        await run(server.url, tmp_path / "whole", problems)
    assert again.standing.num_failed == 0
    resumed, whole = (read_run(tmp_path / name).records for name in ("run", "whole"))
    assert resumed == whole


def num_reachable(root: object) -> int:
    """Count the objects that one holds, directly or not; modules, classes and loops end the way."""
    found, left = {}, [root]
    while left:
        each = left.pop()
        if id(each) in found or isinstance(each, type | ModuleType | asyncio.AbstractEventLoop):
            continue
        found[id(each)] = each
        left += each.__closure__ or () if isinstance(each, FunctionType) else gc.get_referents(each)
    return len(found)


async def test_nothing_is_kept_of_a_search_once_it_is_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("ttc_client.middleware.replicas._SESSIONS_KEPT", 4)

    async def kept_after(num_problems: int) -> int:
        """Run a bench, and count what the client holds after it."""
        problems = [
            Problem(question=f"{i} of {num_problems}", id=str(i), gold="1")
            for i in range(num_problems)
        ]
        with Journal(tmp_path / str(num_problems), {}, problems, resume=False) as journal:
            await Bench(problems, [params], journal).run(client)
        del journal, problems
        server.requests.clear()
        server.headers.clear()
        return num_reachable(client)

    async with chance_servers() as server:
        replicas = (server.url, server.url)
        params = SearchParams(n=4, max_steps=2)
        servers = Servers(policy=replicas, prm=replicas, concurrency=8, check=False)
        async with Client(servers) as client:
            few, many = [await kept_after(count) for count in (60, 240)]
    assert many - few < 180  # less than one for each problem more


async def test_a_disk_that_cannot_be_written_ends_the_run(tmp_path, monkeypatch):
    async def full(*_):
        raise TTCError("the disk is full")

    monkeypatch.setattr(Journal, "write", full)
    async with chance_servers() as server:
        with pytest.raises(TTCError, match="the disk is full"):
            await run(server.url, tmp_path)


async def test_compute_optimal_searches_say_what_they_chose_and_count_by_its_vote(tmp_path):
    chosen = table(Choice("majority", None), Choice("beam", 4))
    grid = Grid(("compute-optimal",), (4, 16), (0, 1))

    async def run_grid(url: str, *, resume: bool = False) -> Bench:
        settings = settings_for(url, strategy="compute-optimal", table=chosen)
        with Journal(tmp_path, {}, PROBLEMS, resume=resume) as journal:
            bench = Bench(PROBLEMS, grid.searches(settings), journal)
            async with Client(settings.servers) as client:
                await bench.run(client)
        return bench

    async with chance_servers() as server:
        bench = await run_grid(server.url)
        resumed = await run_grid(server.url, resume=True)
    found = read_run(tmp_path).records.values()
    assert {record.allocation.strategy for record in found} == {"majority", "beam"}
    for record in found:
        assert record.vote == ("majority" if record.allocation.bin == 1 else "weighted")
    right = [record.grades[record.vote] for record in found]
    assert 0 < sum(bench.standing.grades.values()) == sum(right)
    assert bench.standing.grades == resumed.standing.grades
    for record in found:
        probe = [s for s in record.samples if len(s.path) == 1 and s.path[0] < record.n // 4]
        assert sum(s.votes for s in probe) == record.allocation.probe == record.n // 4
        assert sum(s.votes for s in record.samples) <= record.n
