"""What can be put in from outside: strategies, tasks, and functions in the place of servers."""

import asyncio
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ttc_client import Client, SearchParams, Servers
from ttc_client.analysis.curves import Curve, read_curves
from ttc_client.bench.bench import Bench
from ttc_client.bench.grid import Grid
from ttc_client.bench.journal import Journal
from ttc_client.bench.runs import Run, read_run
from ttc_client.errors import ConfigError, ProtocolError, ServerError
from ttc_client.middleware.meter import Meter
from ttc_client.runtime.evaluate import Job, evaluate
from ttc_client.search.found import Found
from ttc_client.search.params import StrategySettings
from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.search.search import Search
from ttc_client.search.strategies import STRATEGIES, find_strategy
from ttc_client.search.strategy import Strategy
from ttc_client.settings.config import Settings, load_settings
from ttc_client.tasks.table import TASKS, find_task
from ttc_client.tasks.workers import Workers
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, check_task, perfect, walk
from ttc_client.types import Message, Problem, Step, Usage


async def policy(request: SampleRequest) -> list[str]:
    """Write as `walk` does; the scripts of this module's tests."""
    return [walk(request, i)[0] for i in range(request.n)]


async def verifier(request: ScoreRequest) -> Sequence[Sequence[float]]:
    return (await ScriptedVerifier(perfect)(request)).scores


FUNCTIONS = Servers(policy=(policy,), prm=(verifier,))
PARAMS = SearchParams(strategy="dvts", n=8)
PROBLEMS = [Problem(question=f"problem {i}", id=str(i), gold="right") for i in range(4)]


@dataclass(frozen=True, slots=True)
class Spelling:
    """Answers are the last word, and right as far as their letters are those of the gold one."""

    system_prompt: str = "Spell."
    name: str = "spelling"
    asked: list[str] | None = None

    def messages(self, problem: Problem) -> Sequence[Message]:
        return (Message("system", self.system_prompt), *problem.messages)

    def extract(self, problem: Problem, text: str) -> str:
        return text.split()[-1].removeprefix(r"\boxed{").removesuffix("}")

    async def keys(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[str]:
        if self.asked is not None:
            self.asked.extend(answers)
        return answers

    async def grade(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[float]:
        gold = problem.gold
        return [
            sum(a == b for a, b in zip(answer, gold, strict=False)) / max(len(gold), len(answer))
            for answer in answers
        ]


class NoWorkers:
    """In the place of the answer workers, which this task does without and which start slowly."""

    async def __aenter__(self) -> "NoWorkers":
        return self

    async def __aexit__(self, *exception: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ttc_client.tasks.workers.AnswerPool", NoWorkers)


def client_of(write: Any = policy, judge: Any = verifier) -> Client:
    """Return a client of functions."""
    return Client(Servers(policy=(write,), prm=(judge,)), Spelling())


# --- A strategy in ten lines -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientSettings(StrategySettings):
    rounds: int = 2


async def patient(search: Search[PatientSettings]) -> Found:
    """Sample N completions, a share of them in each round."""
    share = search.params.n // search.settings.rounds
    rounds = [await search.expand(search.root, share, until="end") for _ in range(2)]
    sampled = [completion for batch in rounds for completion in batch]
    return Found(sampled, search.completions(sampled), note=f"{len(rounds)} rounds")


PATIENT = Strategy(name="patient", about="waits", search=patient, settings=PatientSettings)


async def run(path: Any, grid: Grid, settings: Settings, **journal: Any) -> Run:
    """Run a grid on functions as ttc bench runs one on servers."""
    recorded = {
        "strategy": grid.strategies,
        "n": grid.budgets,
        "seed": grid.seeds,
        **grid.settings(settings),
    }
    with Journal(path, recorded, PROBLEMS, **{"resume": False, **journal}) as book:
        bench = Bench(PROBLEMS, grid.searches(settings), book)
        async with Client(FUNCTIONS, Spelling()) as client:
            await bench.run(client)
    return read_run(path)


async def test_a_new_strategy_is_one_record_everywhere(monkeypatch, tmp_path):
    monkeypatch.setitem(STRATEGIES, "patient", PATIENT)
    grid = Grid(("patient", "best-of-n"), (4, 8), (0, 1))
    found = await run(tmp_path, grid, load_settings({}, {}))
    assert not found.failed
    assert {(k.strategy, k.n) for k in found.records} == {
        *(("patient", 4), ("patient", 8), ("best-of-n", 8)),
    }
    assert {r.note for r in found.records.values()} == {"2 rounds", ""}
    curves = read_curves([found])
    assert list(curves[Curve("patient", "weighted")]) == [4, 8]
    assert list(curves[Curve("patient", "pass")]) == [4, 8]
    assert Curve("patient", "weighted").is_main
    async with client_of() as client:
        outcome = await evaluate(client, Job(PROBLEMS[0], replace(PARAMS, strategy="patient")))
    assert outcome.record.samples
    assert not outcome.record.error


async def test_a_strategy_from_elsewhere_is_named_by_its_module(tmp_path):
    name = f"{__name__}:PATIENT"
    assert find_strategy(name) is PATIENT
    found = await run(tmp_path, Grid((name,), (4,), (0,)), load_settings({}, {}))
    assert {key.strategy for key in found.records} == {name}
    assert not found.failed
    assert list(read_curves([found])[Curve(name, "weighted")]) == [4]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bean", "strategy is 'bean': it must be one of greedy, .*; did you mean beam"),
        ("nowhere:PATIENT", "cannot be imported: No module named 'nowhere'"),
        (f"{__name__}:NOTHING", "cannot be imported: .* has no attribute 'NOTHING'"),
        (f"{__name__}:patient", "which is no Strategy but"),
        (":", "cannot be imported"),
    ],
)
def test_a_strategy_that_there_is_not_is_said(name, says):
    with pytest.raises(ConfigError, match=says):
        find_strategy(name)


async def test_a_run_by_a_strategy_that_is_gone_is_said_where_it_is_read(monkeypatch, tmp_path):
    with monkeypatch.context() as here:
        here.setitem(STRATEGIES, "patient", PATIENT)
        found = await run(tmp_path, Grid(("patient",), (4,), (0,)), load_settings({}, {}))
    with pytest.raises(ConfigError, match="strategy is 'patient': it must be one of"):
        read_curves([found])


# --- A second task -----------------------------------------------------------------------------


async def test_a_second_task_is_asked_voted_on_and_graded_in_its_own_way(tmp_path, monkeypatch):
    await check_task(Spelling(), PROBLEMS[0], ["so right", r"\boxed{right}"], ["wrong1", "righ"])
    async with Client(FUNCTIONS, Spelling()) as client:
        result = await client.solve(PROBLEMS[0], PARAMS)
        assert list(await client.grade(PROBLEMS[0], ["right", "rigid"])) == [1.0, 0.6]
    assert result.task == "spelling"
    assert {group.answer for group in result.answers} <= {
        *("right", "wrong0", "wrong1", "wrong2", "wrong3"),
    }
    monkeypatch.setitem(TASKS, "spelling", Spelling)
    settings = load_settings({"task": "spelling", "system_prompt": "Write."}, {})
    assert settings.task == Spelling("Write.")
    grid = Grid(("dvts", "best-of-n"), (4, 8), (0,))
    found = await run(tmp_path, grid, settings)
    assert not found.failed
    recorded = found.settings["task"]
    assert (recorded["name"], recorded["system_prompt"]) == ("spelling", "Write.")
    grades = {g.answer: g.grade for r in found.records.values() for g in r.answers}
    assert grades["right"] == 1
    assert 0 <= grades["wrong1"] < 1
    assert list(read_curves([found])[Curve("dvts", "weighted")]) == [4, 8]


async def test_the_task_alone_writes_the_prompt_and_the_verifier_reads_the_question():
    seen: dict[str, list[Any]] = {"messages": [], "text": [], "question": []}

    async def writer(request: SampleRequest) -> list[str]:
        seen["messages"].append(request.messages)
        seen["text"].append(request.text)
        return await policy(request)

    async def judge(request: ScoreRequest) -> Sequence[Sequence[float]]:
        seen["question"].append(request.question)
        return await verifier(request)

    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "which?"))
    problem = Problem(question="which?", messages=turns)
    async with Client(Servers(policy=(writer,), prm=(judge,)), Spelling()) as client:
        await client.solve(problem, PARAMS)
    assert set(seen["messages"]) == {(Message("system", "Spell."), *turns)}
    assert set(seen["question"]) == {"which?"}
    assert all(text.startswith("<|start_header_id|>system") for text in seen["text"])
    assert len(set(seen["text"])) > 1


@pytest.mark.parametrize("strategy", ["greedy", "majority", "best-of-n", "beam", "dvts"])
async def test_an_answer_is_keyed_once_in_a_search(strategy):
    asked: list[str] = []
    async with Client(FUNCTIONS, Spelling(asked=asked)) as client:
        params = SearchParams(strategy=strategy, n=16)
        ballot = client.ballot(PROBLEMS[0], params)
        result = await client.solve(PROBLEMS[0], params, ballot=ballot)
        await ballot.keys([candidate.answer for candidate in result.candidates])
    assert sorted(asked) == sorted({candidate.answer for candidate in result.candidates})


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("maths", "task is 'maths': it must be math"),
        ("nowhere:task", "cannot be imported"),
        (f"{__name__}:NOTHING", "cannot be imported"),
    ],
)
def test_a_task_that_there_is_not_is_said(name, says):
    with pytest.raises(ConfigError, match=says):
        find_task(name)


SPELLING = Spelling("Spell well.")


def test_a_task_from_elsewhere_may_be_an_object_or_a_class():
    assert find_task(f"{__name__}:SPELLING") is SPELLING
    assert find_task(f"{__name__}:Spelling") == Spelling()
    assert find_task(f"{__name__}:Spelling", system_prompt="Write.") == Spelling("Write.")
    with pytest.raises(ConfigError, match="which has no system_prompt: leave it out"):
        find_task(f"{__name__}:SPELLING", system_prompt="Write.")


# --- Functions -------------------------------------------------------------------------------


async def as_steps(request: SampleRequest) -> list[Step]:
    return [Step(*walk(request, i), num_tokens=3) for i in range(request.n)]


async def as_samples(request: SampleRequest) -> Samples:
    steps = tuple(await as_steps(request))
    return Samples(steps, usage=Usage(completion_tokens=3 * len(steps), policy_requests=1))


async def as_scores(request: ScoreRequest) -> Scores:
    scores = await verifier(request)
    return Scores(tuple(map(tuple, scores)), Usage(prm_requests=1))


async def test_texts_steps_and_samples_lead_to_the_same_search():
    found = []
    for write, judge in ((policy, verifier), (as_steps, as_scores), (as_samples, verifier)):
        async with client_of(write, judge) as client:
            assert client.models == {"policy": write.__name__, "prm": judge.__name__}
            found.append(await client.solve(PROBLEMS[0], PARAMS))
    assert found[0].candidates
    assert len({tuple((c.path, c.text, c.reward) for c in r.candidates) for r in found}) == 1
    assert found[2].usage.completion_tokens == 3 * found[2].usage.policy_requests * PARAMS.m
    assert not found[0].demo


async def one_too_few(request: SampleRequest) -> list[str]:
    return (await policy(request))[1:]


async def a_score_of_two(request: ScoreRequest) -> list[list[float]]:
    return [[2.0] * len(item) for item in request.items]


async def no_score(request: ScoreRequest) -> list[list[float]]:
    return [[float("nan")] * len(item) for item in request.items]


async def one_score_too_few(request: ScoreRequest) -> list[Sequence[float]]:
    return [item[1:] for item in await verifier(request)]


@pytest.mark.parametrize(
    ("write", "judge", "says"),
    [
        (one_too_few, verifier, "one_too_few returned 3 continuations, not 4"),
        (policy, a_score_of_two, "a_score_of_two returned .*2"),
        (policy, no_score, "no_score returned .*nan"),
        (policy, one_score_too_few, "one_score_too_few returned scores of the shape"),
    ],
)
async def test_a_function_that_returns_something_else_is_named(write, judge, says):
    async with client_of(write, judge) as client:
        with pytest.raises(ProtocolError, match=says):
            await client.solve(PROBLEMS[0], PARAMS)


async def test_a_policy_alone_can_do_what_needs_no_verifier():
    async with Client(Servers(policy=(policy,)), Spelling()) as client:
        assert (await client.solve("problem", SearchParams(strategy="majority"))).candidates
        with pytest.raises(ConfigError, match="dvts needs a verifier beside the policy"):
            await client.solve("problem", PARAMS)


# --- Failures --------------------------------------------------------------------------------


def failing(wanted: Any, error: Exception) -> Any:
    async def write(request: SampleRequest) -> list[str]:
        if wanted(request):
            raise error
        return await policy(request)

    return write


REFUSED = ServerError("refused", url="http://x", status=400)


@pytest.mark.parametrize("strategy", ["best-of-n", "majority", "dvts"])
async def test_an_expansion_that_fails_costs_its_candidates_and_is_counted(strategy):
    params = SearchParams(strategy=strategy, n=16)
    async with client_of() as client:
        whole = await client.solve(PROBLEMS[0], params)
    seeds: list[int | None] = []

    def is_second(request: SampleRequest) -> bool:
        seeds.append(request.seed)
        return request.seed == seeds[1] if len(seeds) > 1 else False

    async with client_of(failing(is_second, REFUSED)) as client:
        result = await client.solve(PROBLEMS[0], params)
    lost = [c.path for c in whole.candidates if 4 <= c.path[0] < 8]
    assert lost
    assert [c.path for c in result.candidates] == [
        c.path for c in whole.candidates if c.path not in lost
    ]
    assert result.usage.failures == {"400": 4}
    assert whole.usage.failures == {}


async def test_beam_goes_on_without_a_beam_that_fails():
    def below_one(request: SampleRequest) -> bool:
        return len(request.trajectory.path) == 1 and request.trajectory.path[0] % 2 == 0

    params = SearchParams(strategy="beam", n=16)
    async with client_of(failing(below_one, REFUSED)) as client:
        result = await client.solve(PROBLEMS[0], params)
    assert result.candidates
    assert set(result.usage.failures) == {"400"}
    assert result.usage.failures["400"] % 4 == 0


async def test_a_search_fails_if_all_of_it_does():
    everything = failing(lambda _: True, REFUSED)
    async with client_of(everything) as client:
        meter = Meter()
        with pytest.raises(ServerError, match="refused"):
            await client.solve(PROBLEMS[0], PARAMS, meter=meter)
    assert meter.usage.failures == {"400": 8}


async def test_where_each_continuation_has_a_request_one_that_fails_costs_one(monkeypatch):
    from ttc_client.clients.functions import FunctionPolicy

    monkeypatch.setattr(FunctionPolicy, "most_choices", 1)
    asked: list[int | None] = []

    def is_third(request: SampleRequest) -> bool:
        assert request.n == 1
        asked.append(request.seed)
        return request.seed == asked[2] if len(asked) > 2 else False

    params = SearchParams(strategy="majority", n=8)
    async with Client(Servers(policy=(failing(is_third, REFUSED),)), Spelling()) as client:
        result = await client.solve(PROBLEMS[0], params)
    assert [c.path for c in result.candidates] == [(i,) for i in range(8) if i != 2]
    assert result.usage.failures == {"400": 1}


async def test_a_failed_row_names_its_error_and_where_an_unexpected_one_came_from():
    async def outcome(error: Exception) -> Any:
        write = failing(lambda _: True, error)
        async with client_of(write) as client:
            return await evaluate(client, Job(PROBLEMS[0], PARAMS))

    refused = await outcome(REFUSED)
    record = refused.record
    assert (record.error, record.error_type, record.traceback) == ("refused", "ServerError", "")
    assert refused.trace is None
    assert refused.cost.usage.failures == {"400": 8}
    odd = (await outcome(ZeroDivisionError())).record
    assert (odd.error, odd.error_type) == ("ZeroDivisionError", "ZeroDivisionError")
    assert "in write" in odd.traceback
    assert odd.traceback.rstrip().endswith("ZeroDivisionError")
    wrong = Job(PROBLEMS[0], replace(PARAMS, strategy="bean"))
    async with client_of() as client:
        assert (await evaluate(client, wrong)).record.error_type == "ConfigError"


async def test_cancelling_is_no_outcome():
    async def never(request: SampleRequest) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    async with client_of(never) as client:
        task = asyncio.create_task(evaluate(client, Job(PROBLEMS[0], PARAMS)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_job_carries_no_key_and_pickles():
    keys = {"TTC_POLICY_API_KEY": "sk-secret-policy", "TTC_PRM_API_KEY": "sk-secret-prm"}
    settings = load_settings({"policy": "http://p", "prm": "http://q"}, keys)
    assert settings.servers.policy_api_key == "sk-secret-policy"
    for params in Grid(("greedy", "beam", "best-of-n"), (8,), (0,)).searches(settings):
        job = Job(PROBLEMS[0], params)
        pickled = pickle.dumps(job)
        assert b"secret" not in pickled
        assert b"http://" not in pickled
        assert pickle.loads(pickled) == job
    assert "secret" not in repr(settings.servers)


# --- Runs that grow --------------------------------------------------------------------------

SMALL = Grid(("best-of-n", "dvts"), (8,), (0,))


@pytest.mark.parametrize(
    "larger",
    [
        Grid(("best-of-n", "dvts"), (8,), (0, 1)),
        Grid(("best-of-n", "dvts"), (4, 8, 16), (0,)),
        Grid(("greedy", "best-of-n", "beam", "dvts"), (8,), (0,)),
        Grid(("beam", "dvts", "greedy", "best-of-n"), (4, 8), (2, 0)),
    ],
    ids=["a seed", "two budgets", "two strategies", "all of it"],
)
async def test_a_grid_may_grow_and_only_what_is_missing_is_run(tmp_path, monkeypatch, larger):
    settings = load_settings({}, {})
    await run(tmp_path / "grown", SMALL, settings)
    searched: list[tuple[str, int, int, str]] = []
    solve = Client.solve

    async def watched(self: Client, problem: Problem, params: SearchParams, **more: Any) -> Any:
        searched.append((params.strategy, params.n, params.seed, problem.id))
        return await solve(self, problem, params, **more)

    with monkeypatch.context() as here:
        here.setattr(Client, "solve", watched)
        grown = await run(tmp_path / "grown", larger, settings, resume=True)
    plan = {(s.strategy, s.n, s.seed, p.id) for s in larger.searches(settings) for p in PROBLEMS}
    before = {(s.strategy, s.n, s.seed, p.id) for s in SMALL.searches(settings) for p in PROBLEMS}
    assert sorted(searched) == sorted(plan - before)
    whole = await run(tmp_path / "whole", larger, settings)
    lines = [
        (tmp_path / name / "results.jsonl").read_text().splitlines() for name in ("grown", "whole")
    ]
    assert [line for line in lines[0] if line in set(lines[1])] == lines[1]
    assert len(lines[0]) == len(plan | before)
    if before <= plan:
        assert lines[0] == lines[1]
    for name in ("n", "seed"):
        assert grown.settings[name] == sorted({*whole.settings[name], *values_of(SMALL, name)})


def values_of(grid: Grid, name: str) -> Sequence[int]:
    return {"n": grid.budgets, "seed": grid.seeds}[name]


async def test_resuming_with_a_smaller_grid_keeps_the_larger_ones_rows(tmp_path):
    settings = load_settings({}, {})
    larger = Grid(("best-of-n", "dvts"), (8,), (0, 1))
    whole = await run(tmp_path, larger, settings)
    again = await run(tmp_path, SMALL, settings, resume=True)
    assert again.records == whole.records
    assert again.settings == whole.settings


async def test_other_settings_are_refused_with_both_values(tmp_path):
    await run(tmp_path, SMALL, load_settings({}, {}))
    for flags, says in (
        ({"temperature": 0.7}, "temperature was 0.8 and is 0.7"),
        ({"system_prompt": "Short."}, "task was .* and is"),
        ({"lookahead": 1}, "lookahead was 0 and is 1"),
    ):
        with pytest.raises(ConfigError, match=says):
            await run(tmp_path, SMALL, load_settings(flags, {}), resume=True)


async def test_own_settings_are_compared_for_the_strategies_that_both_have(tmp_path):
    await run(tmp_path, SMALL, load_settings({}, {}))
    beam = Grid(("beam",), (8,), (0,))
    found = await run(tmp_path, beam, load_settings({"lookahead": 1}, {}), resume=True)
    assert found.settings["own"]["dvts"]["lookahead"] == 0
    assert found.settings["own"]["beam"] == {"lookahead": 1}
    assert set(found.settings["strategy"]) == {"best-of-n", "dvts", "beam"}
    with pytest.raises(ConfigError, match="lookahead was 1 and is 0"):
        await run(tmp_path, beam, load_settings({}, {}), resume=True)


async def test_what_is_watched_is_launched_sampled_or_dropped_and_picked():
    from ttc_client.search.watch import Watch

    class Log(Watch):
        def __init__(self) -> None:
            self.launches, self.samples, self.drops, self.picks = 0, 0, 0, 0

        def launched(self, parent: Any, n: int) -> None:
            self.launches += n

        def sampled(self, parent: Any, n: int, children: Any) -> None:
            assert sum(child.multiplicity for child in children) == n
            self.samples += n

        def dropped(self, parent: Any, n: int) -> None:
            self.drops += n

        def picked(self, picks: Any) -> None:
            self.picks += len(picks)

    second: list[SampleRequest] = []

    def is_second(request: SampleRequest) -> bool:
        second.append(request)
        return len(second) == 2

    log = Log()
    write = failing(is_second, REFUSED)
    async with client_of(write) as client:
        result = await client.solve(PROBLEMS[0], PARAMS, watch=log)
    assert log.drops == 4
    assert log.launches == log.samples + log.drops
    assert log.samples == result.counts.sampled
    assert log.picks == len(result.candidates)
    assert ScriptedPolicy(walk).requests == []
