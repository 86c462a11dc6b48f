"""What a search costs, in counts that do not depend on the machine."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes.scripted_process import Script, Stats, scripted_server
from ttc_client import Client, SearchParams, SearchResult, Servers
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.search import thinking
from ttc_client.search.steps import split_steps
from ttc_client.testing import ROOT, ScriptedPolicy, ScriptedVerifier, run_search

BENCHES = Path(__file__).parents[1] / "scripts" / "bench"
M = 4


async def search(
    n: int, steps: int, problems: int = 1, concurrency: int = 4096, step_ms: float = 0
) -> tuple[Stats, list[SearchResult]]:
    """Search for solutions of so many steps; return what the server counted, and the results."""
    script = Script(step_ms=step_ms, min_steps=steps, max_steps=steps, step_tokens=20)
    with scripted_server(script) as url:
        params = SearchParams(n=n, m=M, max_steps=2 * steps)
        servers = Servers(policy=(url,), prm=(url,), concurrency=concurrency, check=False)
        async with Client(servers) as client:
            searches = (client.solve(f"{i}?", params) for i in range(problems))
            results = await asyncio.gather(*searches)
        async with Session() as session:
            return await Server(session, url, 5).get("/stats", Stats), results


@pytest.mark.parametrize(("n", "steps"), [(16, 5), (64, 5), (16, 40)])
async def test_requests_grow_with_n_and_with_the_steps_and_nothing_is_tokenized_twice(n, steps):
    stats, (result,) = await search(n, steps)
    assert stats.policy_requests == stats.prm_requests == n // M * steps
    assert stats.steps_sampled == stats.steps_scored == len(result.tree) == n * steps
    assert result.usage.completion_tokens == 20 * n * steps
    assert stats.tokenize_requests == 5  # the template and its end, two labels, the problem


async def test_the_bound_on_what_is_in_flight_is_reached_and_never_passed():
    stats, results = await search(64, 1, problems=2, concurrency=40, step_ms=200)
    assert stats.most_in_flight == 40
    assert (stats.in_flight, stats.closed_early) == (0, 0)
    assert sum(result.usage.policy_requests for result in results) == stats.policy_requests


async def test_what_is_open_is_in_flight_where_no_bound_stops_it():
    stats, _ = await search(32, 1, problems=2, step_ms=500)
    assert stats.most_in_flight == 64


@pytest.mark.parametrize("strategy", ["dvts", "beam"])
async def test_a_step_is_split_once_and_its_prefix_never_copied(monkeypatch, strategy):
    read: list[str] = []

    def count(text: str, delimiters: Sequence[str]) -> tuple[str, ...]:
        read.append(text)
        return split_steps(text, delimiters)

    def write(request, i):
        depth = len(request.trajectory.steps)
        return f"{request.trajectory.path}{i}\n\n", "stop" if depth < 30 else "eos"

    monkeypatch.setattr(thinking, "split_steps", count)
    prm = ScriptedVerifier(lambda text: 0.5)
    params = SearchParams(strategy=strategy, n=16, m=M)
    sampled = (await run_search(params, ScriptedPolicy(write), prm)).sampled
    assert sorted(read) == sorted(t.steps[-1].text for t in sampled)
    assert all(t.prompt.ids is ROOT.prompt.ids for t in sampled)
    assert {len(item) for request in prm.requests for item in request.items} == {1}


@pytest.mark.parametrize(
    ("bench", "flags"),
    [
        ("client", ["--problems", "1", "--repeats", "1", "--only", "cost"]),
        ("barrier", ["--problems", "1", "--step-ms", "2", "--score-ms", "0"]),
        ("answers", ["--candidates", "20"]),
        ("start", ["--repeats", "1"]),
    ],
)
def test_a_benchmark_runs_and_writes_its_figures(tmp_path, bench, flags):
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHES / f"{bench}.py"), *flags, "--json", str(figures)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 3
    assert json.loads(figures.read_text())
