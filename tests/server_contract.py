"""What a policy and a PRM server must do for the client, whichever servers they are.

A test class inherits `ServerContract` and provides the fixture `servers`; both servers run the
demo models.
"""

import asyncio
import json
import math
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tokenizers import Tokenizer

import ttc_servers
from tests.gateway.serving import serving
from tests.servers.tiny_llama import reference_logits
from tests.tables import table
from ttc_client import Client, SearchParams
from ttc_client.clients.connect import connect_prm
from ttc_client.clients.http import Server
from ttc_client.clients.prompts import (
    RLHFLOW_APPROVAL,
    RLHFLOW_SYSTEM,
    rlhflow_question,
)
from ttc_client.clients.session import Session
from ttc_client.clients.vllm import VLLMPolicy
from ttc_client.doctor.examine import examine
from ttc_client.errors import ContextLengthError
from ttc_client.search.compute_optimal import TableSettings
from ttc_client.search.ports import SampleRequest, ScoreRequest
from ttc_client.search.strategies import STRATEGIES
from ttc_client.settings import servers as places
from ttc_client.tasks.math import Math
from ttc_client.types import Message, Problem, SearchResult, Step, Trajectory

MODELS = Path(ttc_servers.__file__).parent / "models"
TOKENIZER = Tokenizer.from_file(str(MODELS / "prm" / "tokenizer.json"))
BOS = "<|begin_of_text|>"

PROBLEM = r"Compute $\frac{3}{4} + \frac{5}{6}$."
PROBLEMS = [PROBLEM, "What is $17 \\cdot 23 - 5$?", "Solve $3x + 7 = 22$ for $x$."]
WORDY = (
    "A baker has $12$ trays with $24$ rolls each. In the morning $157$ rolls are sold, in the "
    "afternoon half of those that are left. What is the number of rolls that the baker has then, "
    "if another $3$ trays of $18$ rolls come out of the oven in the evening, and $5$ are burnt?"
)
STEPS = ("## Step 1: Add\n$\\frac{3}{4} + \\frac{5}{6} = \\frac{19}{12}$.", "It is 2.")


@dataclass(frozen=True)
class Servers:
    """A policy and a PRM server under test, at their URLs."""

    policy: str
    prm: str

    def named(self, *, check: bool = True) -> places.Servers:
        return places.Servers(policy=(self.policy,), prm=(self.prm,), check=check)


class ServerContract:
    """The tests; every method that is no test is a fixture of theirs."""

    prm_apis: Sequence[str]
    """The APIs of the PRM server, the one that "auto" finds first."""

    warnings: Sequence[str] = ()
    """What the doctor warns of in the policy's server."""

    @pytest_asyncio.fixture
    async def policy(self, servers: Servers) -> AsyncIterator[VLLMPolicy]:
        async with Session() as session:
            server = Server(session, servers.policy, timeout_s=60)
            yield await VLLMPolicy.connect(server, None)

    @pytest_asyncio.fixture
    async def prm(self, servers: Servers) -> AsyncIterator[Server]:
        async with Session() as session:
            yield Server(session, servers.prm, timeout_s=60)

    @pytest.mark.parametrize("strategy", STRATEGIES)
    async def test_a_search_ends_with_scored_candidates_and_their_answer(
        self, servers: Servers, strategy: str
    ) -> None:
        settings = TableSettings(table=table()) if strategy == "compute-optimal" else None
        params = params_for(strategy=strategy, settings=settings, n=16)
        async with Client(servers.named(check=settings is None)) as client:
            result = await client.solve(PROBLEM, params)
        check(result, params)

    async def test_sixteen_seeded_requests_in_flight_do_no_harm(self, servers: Servers) -> None:
        params = params_for(strategy="dvts", n=64)
        async with Client(servers.named()) as client:
            result = await client.solve(PROBLEM, params)
        check(result, params)

    def test_the_command_line_searches_without_seeds(self, servers: Servers) -> None:
        command = [sys.executable, "-c", "from ttc_client.cli import main; main()", "solve"]
        command += ["--policy", servers.policy, "--prm", servers.prm, "--no-seeds"]
        done = subprocess.run(
            [*command, "-n", "8", "--json", PROBLEM], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["candidates"]
        assert result["answer"] in {candidate["answer"] for candidate in result["candidates"]}

    async def test_the_prms_api_is_found_and_said(self, servers: Servers) -> None:
        async with Client(servers.named()) as client:
            result = await client.solve(PROBLEM, params_for(n=4))
        assert result.prm is not None
        said = {
            "score": "scoring protocol",
            "generative-scoring": "generative scoring",
            "token-classify": "token classification",
        }
        assert said[self.prm_apis[0]] in result.prm

    async def test_the_doctor_finds_them_fit_for_a_search(self, servers: Servers) -> None:
        examination = await examine(servers.named(), params_for())
        assert examination.ok, examination
        (policy,) = [server for server in examination.servers if server.role == "policy"]
        warned = [check.name for check in policy.checks if check.status == "warn"]
        assert warned == list(self.warnings), policy

    @pytest.mark.parametrize("problem", PROBLEMS)
    async def test_steps_taken_one_by_one_give_the_ids_of_the_whole(
        self, policy: VLLMPolicy, problem: str
    ) -> None:
        root = await policy.root(messages(problem))
        whole = await greedy(policy, root, stop=())
        assert whole.steps[0].finish == "eos"
        stepwise = root
        while not stepwise.finished:
            stepwise = await greedy(policy, stepwise)
        assert len(stepwise.steps) > 1
        assert stepwise.token_ids == whole.token_ids
        assert stepwise.text == whole.text

    async def test_a_completion_continued_anywhere_gives_the_ids_of_the_whole(
        self, policy: VLLMPolicy
    ) -> None:
        root = await policy.root(messages(PROBLEM))
        whole = await greedy(policy, root, stop=())
        start, end = len(root.token_ids), len(whole.token_ids)
        for cut in range(start + 1, end - 1, 5):
            prompt = replace(root.prompt, ids=whole.token_ids[:cut])
            part = replace(root, prompt=prompt, steps=(Step("x", "stop", 1),))
            assert (await greedy(policy, part, stop=())).token_ids == whole.token_ids

    async def test_bos_comes_exactly_once(self, policy: VLLMPolicy) -> None:
        root = await policy.root(messages(PROBLEM))
        bos = TOKENIZER.token_to_id(BOS)
        assert root.token_ids.index(bos) == 0
        assert root.token_ids.count(bos) == 1
        for prompt in (root.token_ids, root.prompt.text):
            assert await read_as(policy.server, prompt) == root.token_ids
        assert (await read_as(policy.server, BOS + root.prompt.text)).count(bos) == 2  # the trap

    async def test_the_blank_line_is_kept_where_a_step_ends(self, policy: VLLMPolicy) -> None:
        root = await policy.root(messages(PROBLEM))
        first = await greedy(policy, root)
        assert first.steps[0].finish == "stop"
        assert first.text.endswith("\n\n")
        second = await greedy(policy, first)
        assert second.text.startswith(first.text)
        for trajectory in (first, second):
            read = TOKENIZER.decode(trajectory.token_ids, skip_special_tokens=False)
            assert read.removesuffix("<|eot_id|>") == BOS + root.prompt.text + trajectory.text

    async def test_a_seed_gives_the_same_samples_again(self, policy: VLLMPolicy) -> None:
        request = ask(
            await policy.root(messages(PROBLEM)), n=4, temperature=1.0, stop=(), seed=2**52 - 5
        )
        first, again = [(await policy.sample(request)).steps for _ in range(2)]
        assert [step.token_ids for step in first] == [step.token_ids for step in again]
        assert len({step.token_ids for step in first}) > 1
        other = (await policy.sample(replace(request, seed=7))).steps
        assert [step.token_ids for step in other] != [step.token_ids for step in first]

    async def test_log_probabilities_change_no_sample_and_are_those_of_its_tokens(
        self, policy: VLLMPolicy
    ) -> None:
        request = ask(await policy.root(messages(PROBLEM)), stop=())
        (plain,) = (await policy.sample(request)).steps
        (rated,) = (await policy.sample(replace(request, top_logprobs=1))).steps
        assert plain
        assert rated
        assert (plain.logprobs, plain.confidences) == ((), ())
        assert rated.token_ids == plain.token_ids
        assert len(rated.logprobs) == rated.num_tokens  # greedy: each is the likeliest
        assert rated.confidences == tuple(-logprob for logprob in rated.logprobs)
        (wide,) = (await policy.sample(replace(request, top_logprobs=20))).steps
        assert wide
        assert all(
            rare > likeliest
            for rare, likeliest in zip(wide.confidences, rated.confidences, strict=True)
        )

    async def test_a_beam_search_finds_its_prompts_in_the_cache(self, servers: Servers) -> None:
        async with Session() as session, Client(servers.named()) as client:
            server = Server(session, servers.policy, timeout_s=60)
            names = ("prefix_cache_hits_total", "prefix_cache_queries_total")
            before = [await counter(server, name) for name in names]
            await client.solve(WORDY, params_for(strategy="beam", n=16))
            after = [await counter(server, name) for name in names]
        hits, queries = (b - a for a, b in zip(before, after, strict=True))
        assert hits / queries > 0.8

    async def test_scores_equal_a_direct_computation(self, prm: Server) -> None:
        request = ScoreRequest(
            Problem(question=PROBLEM), STEPS[:1], (("So it is 3.", "No."), (STEPS[1],))
        )
        expected = [
            [
                reference_score(STEPS[0], "So it is 3."),
                reference_score(STEPS[0], "So it is 3.", "No."),
            ],
            [reference_score(*STEPS)],
        ]
        for api in self.prm_apis:
            client = await connect_prm(prm, api)
            scores = (await client.score(request)).scores
            assert [list(item) for item in scores] == [
                pytest.approx(item, abs=1e-3) for item in expected
            ]

    async def test_a_policy_prompt_too_long_is_refused_unsent(self, policy: VLLMPolicy) -> None:
        root = await policy.root(messages("1 + " * 3000 + "1?"))
        with pytest.raises(ContextLengthError) as refused:
            await policy.sample(ask(root))
        assert refused.value.status is None

    async def test_a_solution_is_scored_up_to_the_limit_and_refused_above(
        self, prm: Server
    ) -> None:
        """vLLM would cut a longer one to its beginning and score that: we must not ask it."""
        longest = "1" * num_fitting_digits()
        scores = {}
        for api in self.prm_apis:
            client = await connect_prm(prm, api)
            ((score,),) = (
                await client.score(ScoreRequest(Problem(question=PROBLEM), (), ((longest,),)))
            ).scores
            scores[api] = score
            with pytest.raises(ContextLengthError) as refused:
                await client.score(ScoreRequest(Problem(question=PROBLEM), (), ((longest + "1",),)))
            assert (refused.value.status is None) == (api != "score")
        # What is cut silently in one way is refused in another: all agree on a whole solution.
        assert max(scores.values()) - min(scores.values()) < 1e-3

    async def test_a_cancelled_request_is_gone_within_a_second(self, policy: VLLMPolicy) -> None:
        payload = {"model": policy.model, "prompt": "x", "n": 8, "max_tokens": 1900}
        payload |= {"temperature": 1.0, "ignore_eos": True}
        task = asyncio.create_task(policy.server.post("/v1/completions", payload, msgspec.Raw))
        await running(policy.server, at_least=8)
        await cancelled(task)
        await idle(policy.server)

    async def test_a_cancelled_search_leaves_nothing_running(
        self, servers: Servers, policy: VLLMPolicy
    ) -> None:
        async with Client(servers.named()) as client:
            params = params_for(strategy="dvts", n=64)
            task = asyncio.create_task(client.solve(PROBLEM, params))
            await running(policy.server, at_least=4)
            await cancelled(task)
            await idle(policy.server)

    async def test_a_gateway_before_them_answers_and_counts_what_they_count(
        self, servers: Servers, policy: VLLMPolicy
    ) -> None:
        profiles = ("fast=best-of-n:4,task=math", "hard=dvts:4,task=math")
        fields = {"max_tokens": 200, "stream_options": {"include_usage": True}}
        before, spent = await counter(policy.server, "generation_tokens_total"), 0
        async with serving(servers.policy, servers.prm, profiles) as caller:
            for profile in ("", "fast", "hard"):
                whole = await caller.chat(profile, PROBLEM, max_tokens=200)
                streamed = await caller.chat(profile, PROBLEM, stream=True, **fields)
                chunks = [json.loads(data) for _, data in streamed.events[:-1]]
                deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
                said = "".join(delta.get("content") or "" for delta in deltas)
                assert whole.status == streamed.status == 200
                assert said.strip()
                assert whole.json["choices"][0]["finish_reason"] in ("stop", "length")
                if profile:  # its seeds are its own
                    assert said == whole.json["choices"][0]["message"]["content"]
                    assert whole.json["ttc"]["verifier"]["tokens"] > 0
                usages = (whole.json["usage"], chunks[-1]["usage"])
                spent += sum(usage["completion_tokens"] for usage in usages)
        async with asyncio.timeout(30):  # its counters may be a moment late
            while await counter(policy.server, "generation_tokens_total") < before + spent:
                pass
        assert await counter(policy.server, "generation_tokens_total") == before + spent


def messages(problem: str) -> Sequence[Message]:
    """Return a problem under the blog post's system prompt."""
    return Math().messages(Problem(question=problem))


def params_for(**changes: Any) -> SearchParams:
    return SearchParams(**{"n": 8, "max_completion_tokens": 300, **changes})


def check(result: SearchResult, params: SearchParams) -> None:
    """Check what holds for every search that ended."""
    strategy = STRATEGIES[params.strategy]
    assert 1 <= sum(c.votes for c in result.candidates) <= strategy.checked(params).n
    assert result.answers or params.strategy == "rsa"  # the models here follow no instructions
    assert result.answer in ({group.answer for group in result.answers} or {""})
    for candidate in result.candidates:
        assert candidate.finish in ("eos", "length")
        scores = [step.score for step in candidate.steps]
        if strategy.needs != "nothing":
            assert all(score is not None and 0 < score < 1 for score in scores)
        else:
            assert set(scores) == {None}
    assert result.usage.completion_tokens >= sum(c.num_tokens for c in result.candidates)
    assert not result.usage.retries


def ask(trajectory: Trajectory, **changes: Any) -> SampleRequest:
    request = SampleRequest(
        trajectory, n=1, temperature=0.0, top_p=1.0, max_tokens=300, stop=("\n\n",), seed=None
    )
    return replace(request, **changes)


async def greedy(policy: VLLMPolicy, parent: Trajectory, **changes: Any) -> Trajectory:
    """Return the trajectory with its most likely next step."""
    samples = await policy.sample(ask(parent, **changes))
    (step,) = samples.steps
    return replace(parent, steps=(*parent.steps, step))


async def rendered(server: Server, *messages: tuple[str, str], **fields: Any) -> tuple[int, ...]:
    """Return the ids that a server's chat template and tokenizer make of a conversation."""
    turns = [{"role": role, "content": content} for role, content in messages]
    reply = await server.post("/tokenize", {"messages": turns, **fields}, dict[str, Any])
    return tuple(reply["tokens"])


async def read_as(server: Server, prompt: str | Sequence[int]) -> tuple[int, ...]:
    """Return the ids that a server makes of a completion's prompt."""
    payload = {"prompt": prompt, "max_tokens": 1, "return_token_ids": True}
    reply = await server.post("/v1/completions", payload, dict[str, Any])
    return tuple(reply["choices"][0]["prompt_token_ids"])


async def counter(server: Server, name: str) -> float:
    """Return one of the server's own counters."""
    metrics = await server.get_text("/metrics")
    found = re.findall(rf"^vllm:{name}{{.*}} (.+)$", metrics, re.MULTILINE)
    return sum(map(float, found))


async def running(server: Server, at_least: int) -> None:
    """Wait until the server works on so many sequences."""
    async with asyncio.timeout(30):
        while await counter(server, "num_requests_running") < at_least:
            await asyncio.sleep(0.01)


async def idle(server: Server) -> None:
    """Wait until the server works on nothing, for a second at most."""
    async with asyncio.timeout(1):
        while await counter(server, "num_requests_running"):
            await asyncio.sleep(0.01)


async def cancelled(task: "asyncio.Task[Any]") -> None:
    assert task.cancel(), "ended too early to be cancelled"
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


def conversation(*steps: str) -> list[int]:
    """Return the ids of the conversation at whose end the PRM judges the last step."""
    text = RLHFLOW_SYSTEM + RLHFLOW_APPROVAL.join(
        rlhflow_question(PROBLEM, i, step) for i, step in enumerate(steps)
    )
    return TOKENIZER.encode(text).ids


def reference_score(*steps: str) -> float:
    """Return the probability of "+" against "-" after the steps, in float64."""
    good, bad = (TOKENIZER.token_to_id(verdict) for verdict in "+-")
    logits = reference_logits(MODELS / "prm", conversation(*steps))[-1]
    return 1 / (1 + math.exp(logits[bad] - logits[good]))


def num_fitting_digits() -> int:
    """Return how many digits, a token each, make the longest step that the PRM can judge.

    It needs room for one token more, its verdict.
    """
    config = json.loads((MODELS / "prm" / "config.json").read_text())
    return config["max_position_embeddings"] - len(conversation("1"))
