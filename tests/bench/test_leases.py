"""Jobs leased to workers that die, hang, wait for a machine or find something else."""

import asyncio
import pickle
import re
from collections import Counter
from dataclasses import replace
from importlib.metadata import version

import pytest

from tests.bench.test_bench import GRID, NUM_SEARCHES, PROBLEMS, run, settings_for
from tests.fakes.chance_servers import chance_servers
from ttc_client.bench import leases
from ttc_client.bench.bench import Bench
from ttc_client.bench.journal import Journal
from ttc_client.bench.leases import employ
from ttc_client.bench.on_ray import check_travels
from ttc_client.bench.worker import Hello, Report, Work, Worker
from ttc_client.errors import ConfigError, TTCError
from ttc_client.runtime.evaluate import Job, Outcome
from ttc_client.runtime.records import Cost, Record
from ttc_client.search.params import SearchParams
from ttc_client.settings.servers import Servers
from ttc_client.tasks.math import Math
from ttc_client.types import Problem, Usage

WORK = Work(Servers(), Math(), (), 3)
JOBS = [Job(Problem(question=f"p{i}", id=str(i)), SearchParams(n=4)) for i in range(40)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(leases, "_PAUSE_S", 0.0)
    monkeypatch.setattr(leases, "_LEASE_S", 0.2)
    monkeypatch.setattr(leases, "_CLOSING_S", 0.05)


class Fake:
    """A worker that ends two of its jobs at each exchange, until `dies` after so many."""

    def __init__(self, dies: int = -1, hello: Hello | None = None, capacity: int = 16) -> None:
        self.dies, self.capacity = dies, capacity
        self.hello = hello or Hello(version("ttc-client"), {"policy": "p"}, capacity)
        self.leased: dict[int, Job] = {}
        self.closed = False

    async def open(self) -> Hello:
        return self.hello

    async def exchange(self, jobs) -> Report:
        self.leased.update(jobs)
        assert sum(job.params.n for job in self.leased.values()) <= 2 * self.capacity
        self.dies -= 1
        if self.dies == -1:
            raise ConnectionError("the actor died\nwith a long story")
        await asyncio.sleep(0)
        ended = [*self.leased][:2]
        return Report(
            tuple((i, outcome(self.leased.pop(i))) for i in ended), Usage(), self.capacity
        )

    async def close(self) -> None:
        self.closed = True


class Stuck(Fake):
    async def exchange(self, jobs) -> Report:
        await asyncio.Event().wait()
        raise AssertionError


class Unplaced(Fake):
    async def open(self) -> Hello:
        await asyncio.Event().wait()
        raise AssertionError


def outcome(job: Job) -> Outcome:
    key = job.key._asdict()
    return Outcome(Record(**key), Cost(**key, usage=Usage(completion_tokens=1), wall_s=1.0), None)


class Run:
    """Jobs on workers that are hired in the order given, and then sound ones."""

    def __init__(self, *workers: Fake) -> None:
        self.workers, self.hired = [*workers], []
        self.kept: list[Outcome] = []
        self.said: list[str] = []

    def hire(self, _: Work) -> Fake:
        self.hired.append(self.workers.pop(0) if self.workers else Fake())
        return self.hired[-1]

    async def keep(self, job: Job, kept: Outcome) -> None:
        assert kept.record.id == job.problem.id
        self.kept.append(kept)

    async def __call__(self, jobs=JOBS) -> Counter[str]:
        async with employ(self.hire, WORK, self.said.append) as fleet, asyncio.timeout(30):
            await fleet.run(jobs, self.keep)
        assert all(worker.closed for worker in self.hired)
        return Counter(kept.record.id for kept in self.kept)


ONCE = Counter(job.problem.id for job in JOBS)


@pytest.mark.parametrize("after", [0, 1, 2, 3])
async def test_the_jobs_of_a_worker_that_dies_are_done_once_by_others(after):
    run = Run(Fake(after), Fake(after))
    assert await run() == ONCE
    assert len(run.hired) == 5
    lost = [said for said in run.said if "is lost (the actor died)" in said]
    assert len(lost) == 2
    assert all("searches go back" in said for said in lost)
    assert not any("long story" in said for said in run.said)


async def test_a_worker_that_says_nothing_is_given_up_when_its_lease_runs_out():
    run = Run(Stuck())
    assert await run() == ONCE
    assert any("it has said nothing for" in said for said in run.said)


async def test_workers_without_a_machine_are_spoken_of_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(leases, "_SLOW_S", 0.0)
    run = Run(Unplaced(), Fake(), Unplaced())
    assert await run() == ONCE
    assert "2 of 3 workers wait for a machine" in run.said


async def test_no_machine_at_all_ends_the_run_and_says_why(monkeypatch):
    monkeypatch.setattr(leases, "_FIRST_S", 0.05)
    with pytest.raises(TTCError, match="none of 3 workers has found a machine"):
        await Run(Unplaced(), Unplaced(), Unplaced())()


async def test_each_worker_is_leased_its_share_and_no_more_than_it_has_room_for():
    first = Fake(capacity=1 << 20)
    blocks: list[int] = []
    exchange = first.exchange

    async def watched(jobs):
        blocks.append(len(jobs))
        return await exchange(jobs)

    first.exchange = watched
    run = Run(first)
    assert await run() == ONCE
    assert blocks[0] == 14  # a third of 40
    small = Run(*(Fake(capacity=1) for _ in range(3)))  # a job of 4 does not fit, and runs alone
    for worker in small.workers:
        worker.capacity, worker.hello = 2, Hello(version("ttc-client"), {"policy": "p"}, 1)
    assert await small() == ONCE


class Deadly(Fake):
    async def exchange(self, jobs) -> Report:
        if any(job.problem.id == "13" for _, job in jobs) or 13 in self.leased:
            raise ConnectionError("killed")
        return await super().exchange(jobs)


async def test_a_job_that_kills_every_worker_fails_in_the_end_and_the_others_are_done():
    run = Run(*(Deadly() for _ in range(50)))
    assert await run() == ONCE
    failed = [kept.record for kept in run.kept if kept.record.error]
    assert "13" in {record.id for record in failed}
    assert len(failed) <= len(JOBS) // 3 + 1
    assert all("5 workers were lost with it, the last one: killed" in r.error for r in failed)


async def test_a_run_ends_once_no_place_has_a_worker_that_works():
    run = Run(*(Fake(0) for _ in range(20)))
    with pytest.raises(TTCError, match=r"all workers are lost; .* --resume goes on"):
        await run()
    assert len(run.hired) == 9


async def test_settings_that_no_worker_can_open_with_end_the_run_at_once():
    hello = Hello(version("ttc-client"), {}, error="m is 0", is_final=True)
    with pytest.raises(ConfigError, match=r"worker \d: m is 0"):
        await Run(*(Fake(hello=hello) for _ in range(3)))()


async def test_a_worker_that_cannot_open_or_finds_another_model_is_replaced():
    ours = version("ttc-client")
    run = Run(
        Fake(),
        Fake(hello=Hello(ours, {}, error="http://x is down")),
        Fake(hello=Hello(ours, {"policy": "another"}, 8)),
    )
    assert await run() == ONCE
    assert any("http://x is down" in said for said in run.said)
    assert any("finds the models {'policy': 'another'}" in said for said in run.said)


async def test_another_version_on_a_worker_is_refused():
    with pytest.raises(ConfigError, match=r"has ttc-client 0.0.1, not"):
        await Run(Fake(hello=Hello("0.0.1", {"policy": "p"}, 8)))()


async def test_an_outcome_that_cannot_be_kept_ends_the_run():
    run = Run()

    async def full(*_):
        raise TTCError("no space")

    run.keep = full
    with pytest.raises(TTCError, match="no space"):
        await run()


async def test_warnings_of_several_workers_are_said_once():
    hello = Hello(version("ttc-client"), {"policy": "p"}, 16, warnings=("tiny models",))
    run = Run(*(Fake(hello=hello) for _ in range(3)))
    assert await run() == ONCE
    assert run.said.count("tiny models") == 1


class Mortal(Worker):
    """A real worker in this process, that is gone after so many exchanges."""

    left = 3

    async def exchange(self, jobs) -> Report:
        Mortal.left -= 1
        if not Mortal.left:
            raise ConnectionError("killed")
        return await super().exchange(jobs)


async def test_a_run_on_workers_is_the_run_of_one_process_line_for_line(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(leases, "_CLOSING_S", 60.0)
    problems = PROBLEMS[:3]
    async with chance_servers() as server:
        await run(server.url, tmp_path / "one", problems, concurrency=16)
        settings = settings_for(server.url, concurrency=16)
        searches = GRID.searches(settings)
        work = Work(settings.servers, Math(), searches, 2)
        said: list[str] = []
        with Journal(tmp_path / "two", {}, problems, resume=False) as journal:
            bench = Bench(problems, searches, journal)
            async with employ(Mortal, work, said.append) as fleet:
                assert set(fleet.models) == {"policy", "prm"}
                await bench.run_on(fleet)
    one, two = ((tmp_path / name / "results.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two
    assert (tmp_path / "two" / "traces.jsonl").read_bytes().count(b"\n") == NUM_SEARCHES // 2
    (lost,) = said
    assert "is lost (killed)" in lost
    assert bench.standing.left == 0
    assert bench.standing.usage.completion_tokens > 0


async def test_the_sequences_in_flight_are_divided_between_workers(tmp_path):
    async with chance_servers() as server:
        for concurrency, share, capacity in ((16, 4, 4), (2, 4, 1), ("auto", 4, 64)):
            servers = settings_for(server.url, concurrency=concurrency).servers
            worker = Worker(Work(servers, Math(), (), share))
            assert (await worker.open()).capacity == capacity
            await worker.close()


async def test_a_worker_that_cannot_open_tells_why():
    servers = Servers(policy="http://127.0.0.1:9", timeout_s=1, check=False)
    hello = await Worker(Work(servers, Math(), (), 1)).open()
    assert "127.0.0.1:9" in hello.error
    assert not hello.is_final


async def nearby(problem):
    return problem


@pytest.mark.parametrize(
    ("servers", "task", "said"),
    [
        (Servers(policy=lambda _: None), Math(), "policy cannot go to other machines"),
        (Servers(policy=nearby, prm=lambda _: None), Math(), "prm cannot go"),
        (Servers(), lambda: None, "task cannot go to other machines .* module:name"),
    ],
    ids=["policy", "prm", "task"],
)
def test_what_has_no_name_elsewhere_is_refused_with_the_reason(servers, task, said):
    with pytest.raises(ConfigError, match=said):
        check_travels(Work(servers, task, (), 1))
    check_travels(Work(Servers(policy=nearby), Math(), (), 1))


async def test_keys_travel_with_the_work_and_not_by_the_environment(monkeypatch):
    monkeypatch.delenv("TTC_POLICY_API_KEY", raising=False)
    async with chance_servers() as server:
        keyed = replace(settings_for(server.url).servers, policy_api_key="s3cret", prm_api_key="k")
        work = pickle.loads(pickle.dumps(Work(keyed, Math(), (), 1)))
        assert "s3cret" not in repr(work)
        worker = Worker(work)
        hello = await worker.open()
        await worker.close()
        sent = {headers.get("Authorization") for headers in server.headers}
    assert hello.error == ""
    assert sent == {"Bearer s3cret", "Bearer k"}


async def test_a_variable_that_a_worker_lacks_ends_the_run_in_one_line(monkeypatch):
    monkeypatch.delenv("LOGIN", raising=False)
    servers = Servers(policy="http://127.0.0.1:9", header=("Authorization=LOGIN",), check=False)
    hello = await Worker(Work(servers, Math(), (), 1)).open()
    assert hello.error == "header Authorization is to hold LOGIN, which the environment lacks"
    with pytest.raises(ConfigError, match=r"worker \d: header Authorization is to hold LOGIN"):
        await Run(*(Fake(hello=hello) for _ in range(3)))()


async def test_every_distinct_error_is_said_with_its_worker_though_only_digits_differ():
    ours = version("ttc-client")
    errors = [f"http://10.0.0.{number}:8000 is down" for number in (1, 2)]
    run = Run(Fake(), *(Fake(hello=Hello(ours, {}, error=error)) for error in errors))
    assert await run() == ONCE
    for error in errors:
        (said,) = [said for said in run.said if error in said]
        assert re.match(r"worker \d", said)
