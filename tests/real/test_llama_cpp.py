"""llama.cpp's server, which writes as the demo policy and judges as the demo PRM does."""

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.real.conftest import MODELS, Models, export
from ttc_client import Client, SearchParams
from ttc_client.clients.connect import connect_policy, connect_prm
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.doctor import sampling, tokens
from ttc_client.doctor.prm import SOLUTIONS
from ttc_client.middleware.parts import in_parts
from ttc_client.search.ports import SampleRequest, ScoreRequest
from ttc_client.settings.servers import Servers
from ttc_client.types import Problem

TIMEOUT_S = 120


def write(root, n: int, **changes) -> SampleRequest:
    settings = {"temperature": 0.8, "top_p": 1.0, "max_tokens": 24, "stop": (), "seed": 1}
    return SampleRequest(root, n, **(settings | changes))


async def test_more_continuations_than_it_has_slots_are_asked_for_in_parts(
    llama_cpp: Models, session: Session
) -> None:
    policy = await connect_policy(Server(session, llama_cpp.policy, TIMEOUT_S), "openai", None)
    root = await policy.root(tokens.PROBLEM)
    samples = await in_parts(policy.sample, lambda: policy.most_choices)(write(root, 10))
    assert policy.most_choices == 4
    assert len(samples.steps) == 10
    assert None not in samples.steps
    usage = samples.usage
    assert usage.completion_tokens == sum(step.num_tokens for step in samples.steps if step)
    assert 0 < usage.estimated_tokens < usage.completion_tokens
    assert usage.prompt_tokens > 0


async def test_streamed_steps_end_at_their_delimiter_and_count_their_prompt(
    llama_cpp: Models, session: Session
) -> None:
    policy = await connect_policy(Server(session, llama_cpp.policy, TIMEOUT_S), "openai", None)
    root = await policy.root(tokens.PROBLEM)
    request = write(root, 2, stop=("\n\n",), temperature=0.0, max_tokens=128)
    samples = await in_parts(policy.sample, lambda: policy.most_choices)(request)
    assert [step and step.finish for step in samples.steps] == ["stop", "stop"]
    assert all(step and step.text.endswith("\n\n") for step in samples.steps)
    assert samples.usage.prompt_tokens > 0


async def test_the_doctor_knows_what_it_cannot_see_there(
    llama_cpp: Models, session: Session
) -> None:
    server = Server(session, llama_cpp.policy, TIMEOUT_S)
    policy = await connect_policy(server, "openai", None)
    found = [await tokens.bos(server, policy), await tokens.template(server)]
    found += [await tokens.token_ids(policy), await sampling.stop_strings(policy)]
    assert [check.status for check in found] == ["skip", "skip", "skip", "ok"]


async def test_its_verdicts_are_those_of_the_embedded_server(
    llama_cpp: Models, embedded: Models, session: Session
) -> None:
    ours, theirs = [
        await connect_prm(Server(session, url, TIMEOUT_S), "auto")
        for url in (embedded.prm, llama_cpp.prm)
    ]
    assert theirs.name.endswith("(RLHFlow, llama.cpp)")
    for question, right, wrong in SOLUTIONS:
        request = ScoreRequest(Problem(question=question), (), (right, wrong))
        expected, found = [(await prm.score(request)).scores for prm in (ours, theirs)]
        for known, scores in zip(expected, found, strict=True):
            assert scores == pytest.approx(known, abs=1e-3)


async def test_a_search_by_steps_runs_on_both(llama_cpp: Models) -> None:
    servers = Servers(
        policy=llama_cpp.policy,
        prm=llama_cpp.prm,
        policy_api="openai",
        check=False,
        timeout_s=TIMEOUT_S,
    )
    params = SearchParams(strategy="dvts", n=4, m=4, max_steps=3, max_completion_tokens=256)
    async with Client(servers) as client:
        result = await client.solve("Compute $17 + 25$.", params)
    assert result.prm
    assert "llama.cpp" in result.prm
    assert not result.usage.failures
    scores = [step.score for one in result.candidates for step in one.steps]
    assert scores
    assert all(score is not None and 0 <= score <= 1 for score in scores)


@pytest.mark.parametrize("text", ["Compute $17 + 25$.", "## Step 1: Add\n$17 + 25 = 42$.\n\n"])
async def test_the_export_reads_the_tokens_that_the_model_was_trained_on(
    llama_cpp: Models, session: Session, text: str
) -> None:
    tokenizer = Tokenizer.from_file(str(MODELS / "policy" / "tokenizer.json"))
    server = Server(session, llama_cpp.policy, TIMEOUT_S)
    reply = await server.post("/tokenize", {"content": text, "add_special": True}, dict)
    assert reply["tokens"] == tokenizer.encode(text).ids


def test_a_tokenizer_that_llama_cpp_would_misread_is_not_exported(
    environment: Path, tmp_path: Path
) -> None:
    """Its pre-tokenizer splits between all characters, as none that llama.cpp knows does."""
    folder, file = tmp_path / "model", tmp_path / "model.gguf"
    shutil.copytree(MODELS / "policy", folder)
    said = json.loads((folder / "tokenizer.json").read_text())
    every = {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False}
    said["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [every, said["pre_tokenizer"]]}
    (folder / "tokenizer.json").write_text(json.dumps(said))
    refused = export(environment, folder, file)
    assert refused.returncode == 1
    assert "llama.cpp does not know its pre-tokenizer" in refused.stderr
    assert not file.exists()
